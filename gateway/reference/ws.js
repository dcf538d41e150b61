/* The AsyncAPI document for people: where to connect, and each message with its fields, to be searched. */

import { describe, example, fieldsOf, resolve } from "./schema.js";

/** An element with attributes and children. */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.flat().filter((child) => child !== null));
  return element;
}

const byId = (id) => document.getElementById(id);

/** Words with `names` in them. */
function worded(text) {
  return text.split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part));
}

/** Of a channel that both sides use, each connects somewhere, and says what it may hear and what ends it. */
function channel({ address, description }) {
  const sentences = description.split(/(?<=\.) (?=[A-Z])/);
  return h(
    "section",
    { class: "channel" },
    h("h3", {}, h("code", {}, address)),
    sentences.map((sentence) => {
      const [title, list] = sentence.split(/: (.*)/s);
      const parts = list?.replace(/\.$/, "").split(title === "Closes" ? "; " : ", ") ?? [];
      return parts.length > 1
        ? h("details", {}, h("summary", {}, title), h("ul", {}, parts.map((part) => h("li", {}, part))))
        : h("p", {}, sentence);
    }),
  );
}

/** `command.guild.create` is a command to guilds; a name without a kind is a frame of the connection. */
function kindOf(name) {
  return name.includes(".") ? name.split(".")[1] : "";
}

function message(whole, of, sender) {
  const box = h(
    "details",
    { class: "message", id: of.name, "data-words": `${of.name} ${of.summary}`.toLowerCase() },
    h("summary", {}, h("span", { class: `badge ${sender}` }, sender), h("code", {}, of.name), h("span", { class: "soft" }, worded(of.summary))),
  );
  // What a message holds is made when somebody looks at it: there are many.
  box.addEventListener("toggle", () => box.open && box.querySelector(".body") === null && box.append(body(whole, of, sender)));
  return box;
}

function body(whole, of, sender) {
  const fields = fieldsOf(whole, of.payload);
  return h(
    "div",
    { class: "body" },
    h(
      "div",
      { class: "wide", tabindex: "0", role: "group", "aria-label": `Fields of ${of.name}` },
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, ["Field", "Type", "Means"].map((title) => h("th", { scope: "col" }, title)))),
        h("tbody", {}, fields.map((field) => row(whole, field))),
      ),
    ),
    sender === "client" ? h("h4", {}, "As sent") : null,
    sender === "client" ? h("pre", { tabindex: "0" }, JSON.stringify(example(whole, of.payload), null, 2)) : null,
  );
}

function row(whole, { path, schema, required }) {
  const { type, limits } = describe(whole, schema);
  return h(
    "tr",
    {},
    h("td", {}, h("code", {}, path), required ? h("span", { class: "required" }, "required") : null),
    h("td", {}, type),
    h("td", {}, worded([resolve(whole, schema).description ?? "", limits].filter(Boolean).join(" "))),
  );
}

/** Messages under one heading, which goes when none of them is sought. */
function group(title, messages) {
  return h("section", { class: "group" }, h("h3", {}, title), messages);
}

function search() {
  const words = byId("sought").value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const section of document.querySelectorAll(".group")) {
    let some = false;
    for (const box of section.querySelectorAll(".message")) {
      box.hidden = !words.every((word) => box.dataset.words.includes(word));
      some ||= !box.hidden;
      count += Number(!box.hidden);
    }
    section.hidden = !some;
  }
  byId("found").textContent = count === 1 ? "1 message" : `${count} messages`;
}

/** A link to a message opens it. */
function openNamed() {
  const named = byId(decodeURIComponent(location.hash.slice(1)));
  if (!named?.matches(".message")) return;
  named.open = true;
  named.scrollIntoView();
}

async function show() {
  const answer = await fetch("../asyncapi.json");
  if (!answer.ok) throw new Error(`The document cannot be had now (${answer.status}).`);
  const whole = await answer.json();
  const sender = new Map();
  for (const { action, messages } of Object.values(whole.operations)) {
    for (const { $ref } of messages) sender.set($ref.split("/").at(-1), action === "receive" ? "client" : "server");
  }
  byId("title").textContent = `${whole.info.title} ${whole.info.version}: WebSocket`;
  byId("about").textContent = whole.info.description;
  byId("channels").replaceChildren(...Object.values(whole.channels).map(channel));
  const groups = new Map();
  for (const [id, of] of Object.entries(whole.components.messages)) {
    const by = sender.get(id) ?? "server";
    const title = kindOf(of.name) || (by === "client" ? "What clients send" : "What the server sends");
    groups.set(title, [...(groups.get(title) ?? []), message(whole, of, by)]);
  }
  byId("messages").replaceChildren(...[...groups].map(([title, messages]) => group(title, messages)));
  search();
  openNamed();
}

byId("search").addEventListener("submit", (event) => event.preventDefault());
byId("sought").addEventListener("input", search);
byId("messages").addEventListener("click", (event) => {
  const summary = event.target.closest(".message > summary");
  if (summary) history.replaceState(null, "", `#${summary.parentElement.id}`);
});
addEventListener("hashchange", openNamed);
show().catch((error) => {
  byId("about").textContent = error.message;
});
