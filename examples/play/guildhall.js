/** What is on the screen of the guild: the own one and its members, or those to come to. */

import { dot, showTalk } from "./company.js";
import { byId, h, show } from "./dom.js";
import { money, number, titled } from "./words.js";

/** What founding one takes (`content/guilds.yaml`). */
const COST = "100 gold";

/** @param {import("./game.js").Game} game */
export function showGuild(game) {
  const { guild } = game;
  show(
    byId("guild"),
    guild.invitations.map((invitation) =>
      h(
        "article",
        { key: `invited-${invitation.guild}`, class: "active", "data-invited": invitation.name },
        h("h4", {}, `${invitation.by} invites you to ${invitation.name}`),
        h(
          "p",
          { class: "buttons" },
          !guild.own && button("accept", "Join", () => guild.accept(invitation), "first"),
          button("decline", "No, thanks", () => guild.decline(invitation)),
        ),
      ),
    ),
    guild.own ? own(game) : outside(game),
  );
  byId("guild-room").hidden = guild.room === null;
  if (guild.room) showTalk(game, byId("guild-talk"), guild.room);
}

function button(key, words, onclick, kind = "", more = {}) {
  return h("button", { type: "button", key, class: kind || null, onclick, ...more }, words);
}

function own(game) {
  const { guild } = game;
  const { profile } = guild;
  if (!profile) return h("p", { class: "soft", key: "coming" }, `You are on your way into ${guild.own.name}.`);
  return h(
    "div",
    { key: "own", "data-guild": profile.name },
    h("p", { class: "name", key: "name" }, profile.name),
    profile.description && h("p", { key: "text" }, profile.description),
    h(
      "dl",
      { class: "facts", key: "facts" },
      [
        ["Level", number(profile.level)],
        ["Experience", number(profile.experience)],
        ["Open to", profile.open ? "anyone" : "those who are let in"],
      ].map(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]),
    ),
    guild.candidates.requests.length > 0 && h("h3", { key: "asking" }, "Would like to join"),
    guild.candidates.requests.length > 0 &&
      h(
        "ul",
        { class: "rows", key: "requests" },
        guild.candidates.requests.map(({ userId, username }) =>
          h(
            "li",
            { key: userId },
            h("span", { class: "what" }, username),
            button("in", "Let in", () => guild.letIn(userId), "first"),
            button("away", "Turn away", () => guild.turnAway(userId)),
          ),
        ),
      ),
    h("h3", { key: "members" }, profile.members === 1 ? "1 member" : `${number(profile.members)} members`),
    h("ul", { class: "rows", key: "roster" }, profile.roster.map((member) => row(game, member))),
    guild.decides && inviting(game),
    paying(game),
    leaving(guild, profile),
  );
}

function row(game, { userId, username, role }) {
  const { guild } = game;
  const commands = guild.role === "leader" && userId !== game.id;
  return h(
    "li",
    { key: userId, "data-member": username },
    dot(userId === game.id ? "online" : game.whereabouts(userId)),
    h("span", { class: "what" }, username),
    h("span", { class: "soft" }, role),
    commands &&
      h(
        "span",
        { class: "acts" },
        button("lead", "Make leader", () => guild.handOver(userId), "", { "aria-label": `Make ${username} the leader` }),
        button("out", "Put out", () => guild.putOut(userId), "", { "aria-label": `Put ${username} out of the guild` }),
      ),
  );
}

function inviting(game) {
  const { guild } = game;
  const there = new Set([...guild.profile.roster, ...guild.candidates.invitations].map((one) => one.userId));
  const others = game.others.filter((person) => !there.has(person.userId)).slice(0, 50);
  const asked = guild.candidates.invitations.map((one) => one.username);
  return h(
    "div",
    { key: "inviting" },
    h("h3", {}, "Invite"),
    asked.length > 0 && h("p", { class: "soft", key: "asked" }, `Invited already: ${asked.join(", ")}.`),
    others.length === 0
      ? h("p", { class: "soft", key: "nobody" }, "Nobody is here who does not belong to it.")
      : h(
          "form",
          {
            key: "invite",
            class: "line",
            onsubmit: (event) => {
              event.preventDefault();
              void guild.invite(event.target.elements.player.value);
            },
          },
          h("select", { name: "player", "aria-label": "Whom to invite" }, others.map((person) => h("option", { key: person.userId, value: person.userId }, person.username))),
          h("button", {}, "Invite"),
        ),
  );
}

function paying(game) {
  const { bank } = game.guild;
  return h(
    "div",
    { key: "paying" },
    h("h3", {}, "Bank"),
    h("p", { key: "balance" }, Object.entries(bank).filter(([, amount]) => amount > 0).map(([currency, amount]) => money(amount, currency)).join(", ") || "Empty."),
    h(
      "form",
      {
        key: "pay",
        class: "offer",
        onsubmit: (event) => {
          event.preventDefault();
          const { currency, amount } = event.target.elements;
          void game.guild.payIn(currency.value, amount.valueAsNumber);
        },
      },
      h("select", { name: "currency", "aria-label": "What to pay in" }, Object.keys(game.sheet.wallet).map((currency) => h("option", { key: currency, value: currency }, titled(currency)))),
      h("input", { name: "amount", type: "number", min: 1, step: 1, value: 1, required: true, "aria-label": "How much" }),
      h("button", {}, "Pay in"),
    ),
  );
}

/** It takes two steps, so that nobody goes by accident. */
function leaving(guild, profile) {
  const leads = guild.role === "leader";
  return h(
    "details",
    { key: "leaving" },
    h("summary", {}, leads ? "Disband the guild" : "Leave the guild"),
    leads && profile.members > 1 && h("p", { class: "soft" }, "To go alone, make somebody else the leader first."),
    h(
      "p",
      { class: "buttons" },
      leads ? button("disband", "Disband it for good", () => guild.disband()) : button("leave", `Leave ${profile.name}`, () => guild.leave()),
    ),
  );
}

function outside(game) {
  const { guild } = game;
  return h(
    "div",
    { key: "outside" },
    h("p", { class: "soft" }, "You belong to no guild. Join one, or found your own."),
    h(
      "form",
      { key: "seek", class: "line", role: "search", onsubmit: (event) => event.preventDefault() },
      h("input", {
        name: "sought",
        type: "search",
        "aria-label": "Find a guild by its name",
        placeholder: "Find a guild",
        autocomplete: "off",
        maxlength: 32,
        oninput: (event) => {
          guild.sought = event.target.value.trim();
          game.stale("guilds");
        },
      }),
    ),
    h(
      "ul",
      { class: "rows", key: "found" },
      guild.found.map((one) =>
        h(
          "li",
          { key: one.guild, "data-found": one.name },
          h("span", { class: "what" }, one.name),
          h("span", { class: "soft" }, `level ${one.level}, ${one.members === 1 ? "1 member" : `${number(one.members)} members`}`),
          button("join", one.open ? "Join" : "Ask to join", () => guild.join(one), "", { "aria-label": `${one.open ? "Join" : "Ask to join"} ${one.name}` }),
        ),
      ),
      guild.found.length === 0 && h("li", { class: "soft", key: "none" }, guild.sought ? "None is called so." : "There is none yet."),
    ),
    h(
      "details",
      { key: "founding" },
      h("summary", {}, "Found a guild"),
      h(
        "form",
        {
          onsubmit: async (event) => {
            event.preventDefault();
            const form = event.target;
            const { title, open } = form.elements;
            if (await guild.create(title.value.trim(), open.checked)) form.reset();
          },
        },
        h("label", {}, "What it is called ", h("input", { name: "title", autocomplete: "off", required: true, minlength: 3, maxlength: 32 })),
        h("label", { class: "tick" }, h("input", { name: "open", type: "checkbox", checked: true }), " Anyone may join"),
        h("button", { class: "first" }, "Found it", h("small", {}, COST)),
      ),
    ),
  );
}
