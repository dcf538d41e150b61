/** The hero and the bag: who one is, what one has, and what can be done with it. */

import { h, show, byId } from "./dom.js";
import { about, duration, number, titled } from "./words.js";

/** @param {import("./game.js").Game} game @param {{guest: boolean, keep: (event: any) => void, leave: () => void}} account */
export function showHero(game, account) {
  const { sheet } = game;
  show(
    byId("who"),
    h("span", { class: `status ${game.status}`, key: "status" }, game.status === "open" ? "connected" : "connecting again"),
    h("strong", { key: "name" }, sheet.username),
    h("button", { type: "button", key: "leave", onclick: account.leave }, "Leave"),
  );
  show(
    byId("hero"),
    h(
      "dl",
      { class: "facts" },
      pair("Level", number(sheet.level)),
      pair("Experience", sheet.nextLevelAt ? `${number(sheet.experience)} of ${number(sheet.nextLevelAt)}` : number(sheet.experience)),
      Object.entries(sheet.wallet).map(([currency, amount]) => pair(titled(currency), number(amount))),
    ),
    Object.entries(sheet.resources).map(([name, resource]) => gauge(game, name, resource)),
    sheet.effects.length > 0 && h("p", { class: "soft" }, "Under the effect of ", sheet.effects.map((effect) => effect.title).join(", "), "."),
    h("h3", {}, "Wears"),
    h(
      "ul",
      { class: "rows" },
      Object.entries(game.bag.equipment).map(([slot, worn]) =>
        h(
          "li",
          { key: slot },
          h("span", { class: `what ${game.item(worn.item).rarity}` }, game.item(worn.item).title),
          h("span", { class: "soft" }, titled(slot)),
          h("button", { type: "button", onclick: () => game.act("unequip", { slot }) }, "Take off"),
        ),
      ),
      Object.keys(game.bag.equipment).length === 0 && h("li", { class: "soft" }, "Nothing yet."),
    ),
    h(
      "details",
      { key: "skills" },
      h("summary", {}, `Skills: ${game.skills.length}`),
      h("ul", { class: "rows" }, game.skills.map((skill) => known(skill))),
    ),
    account.guest &&
      h(
        "details",
        { key: "keep" },
        h("summary", {}, "Keep this hero"),
        h(
          "form",
          { onsubmit: account.keep },
          h("label", {}, "Name ", h("input", { name: "username", autocomplete: "username", required: true, minlength: 3 })),
          h("label", {}, "Password ", h("input", { name: "password", type: "password", autocomplete: "new-password", required: true, minlength: 8 })),
          h("button", {}, "Keep"),
        ),
      ),
  );
}

function known({ skill, title, text, costs, cooldownMs }) {
  const takes = Object.entries(costs).map(([resource, amount]) => `${amount} ${resource}`);
  const rests = cooldownMs > 0 ? [`rests ${duration(cooldownMs)}`] : [];
  return h("li", { key: skill, "data-skill": skill }, h("span", { class: "what" }, h("strong", {}, title), text && h("span", { class: "soft block" }, text)), h("span", { class: "soft" }, [...takes, ...rests].join(", ")));
}

/** Something that is filled so far; resources come back with time, in between the server's answers too. */
function gauge(game, name, { current, max, fullAt }) {
  const full = fullAt ? Date.parse(fullAt) : 0;
  const since = game.sheet.seenAt;
  const part = full > since ? Math.min(1, (game.now() - since) / (full - since)) : 1;
  const now = fullAt ? Math.floor(current + (max - current) * part) : current;
  return h("div", { class: `gauge ${name}`, key: name }, h("span", {}, titled(name)), h("progress", { value: now, max, "aria-label": titled(name) }), h("span", { class: "soft" }, `${now} / ${max}`));
}

function pair(term, value) {
  return [h("dt", {}, term), h("dd", { key: `fact-${term}` }, value)];
}

/** @param {import("./game.js").Game} game */
export function showBag(game) {
  const { bag } = game;
  show(
    byId("bag"),
    h("p", { class: "soft" }, `${bag.stacks.length} of ${bag.capacity} places taken.`),
    h("ul", { class: "rows" }, bag.stacks.map((stack) => row(game, stack)), bag.stacks.length === 0 && h("li", { class: "soft" }, "Quests fill it.")),
    bag.waiting.length > 0 &&
      h("p", {}, `${bag.waiting.length} more wait for room. `, h("button", { type: "button", onclick: () => game.act("claim_items", {}) }, "Take what fits")),
  );
}

function row(game, stack) {
  const item = game.item(stack.item);
  return h(
    "li",
    { key: stack.id, "data-item": stack.item },
    h("span", { class: `what ${item.rarity}`, title: item.text ?? "" }, item.title, about(item) && h("span", { class: "soft block" }, about(item))),
    h("span", { class: "count" }, stack.quantity > 1 ? `× ${number(stack.quantity)}` : ""),
    item.slots.length > 0 && h("button", { type: "button", onclick: () => game.act("equip", { stackId: stack.id }) }, "Wear"),
    item.use && h("button", { type: "button", onclick: () => game.act("use_item", { stackId: stack.id }) }, "Use"),
  );
}
