/** The others: trades, who is here, the talk in the lobby, the board, and letters. */

import { byId, h, show } from "./dom.js";
import { about, clock, counted, money, number, titled } from "./words.js";

/** @param {import("./game.js").Game} game */
export function showMarket(game) {
  const { trading } = game;
  show(
    byId("market"),
    trading.invitations.map((invitation) =>
      h(
        "article",
        { key: invitation.key, class: "active", "data-invitation": invitation.name },
        h("h4", {}, `${invitation.name} wants to trade`),
        h(
          "p",
          { class: "buttons" },
          h("button", { type: "button", class: "first", onclick: () => trading.join(invitation) }, "To the table"),
          h("button", { type: "button", onclick: () => trading.decline(invitation) }, "No, thanks"),
        ),
      ),
    ),
    trading.table ? table(game) : h("p", { class: "soft", key: "empty" }, "Ask somebody who is here to trade."),
  );
}

function table(game) {
  const { trading } = game;
  const { partner, name, key } = trading.table;
  const mine = trading.agreed(game.id);
  const theirs = trading.agreed(partner);
  const something = [trading.own, trading.theirs].some((goods) => goods.ids.length + Object.keys(goods.items).length + Object.keys(goods.currencies).length > 0);
  return h(
    "div",
    { key, class: "table" },
    h(
      "div",
      { class: "sides" },
      h("section", { "data-side": "own" }, h("h3", {}, "You give"), goods(game, trading.own, true), agreement(mine, "You have agreed.")),
      h("section", { "data-side": "theirs" }, h("h3", {}, `${name} gives`), goods(game, trading.theirs, false), agreement(theirs, `${name} has agreed.`)),
    ),
    offering(game),
    h(
      "p",
      { class: "buttons" },
      h("button", { type: "button", key: "agree", class: "first", disabled: mine || !something, onclick: () => trading.agree() }, mine ? `Waiting for ${name}` : "Agree"),
      h("button", { type: "button", key: "cancel", onclick: () => trading.cancel() }, "Call it off"),
    ),
  );
}

function agreement(agreed, words) {
  return h("p", { class: agreed ? "agreed" : "soft" }, agreed ? words : "Not agreed yet.");
}

function goods(game, { items, ids, currencies }, own) {
  const { trading } = game;
  const row = (key, what, take) => h("li", { key }, what, own && h("button", { type: "button", "aria-label": "Take it back", onclick: take }, "×"));
  const rows = [
    ...Object.entries(items).map(([item, count]) => row(item, named(game.item(item), count), () => trading.offerItem(item, 0))),
    ...ids.map((id) => row(id, named(game.item(trading.thing(id).item), trading.thing(id).quantity), () => trading.offerThing(id, false))),
    ...Object.entries(currencies).map(([currency, amount]) => row(currency, h("span", { class: "what" }, money(amount, currency)), () => trading.offerMoney(currency, 0))),
  ];
  return h("ul", { class: "rows" }, rows.length > 0 ? rows : h("li", { class: "soft" }, "Nothing."));
}

/** An item with what there is to know of it. */
function named(item, count) {
  return h("span", { class: `what ${item.rarity}` }, item.unique ? item.title : counted(count, item.title), about(item) && h("span", { class: "soft block" }, about(item)));
}

function offering(game) {
  const amounts = new Map();
  const free = game.bag.stacks.filter((stack) => !stack.locked && !game.item(stack.item).bound);
  const uniques = free.filter((stack) => game.item(stack.item).unique);
  for (const stack of free) {
    if (!game.item(stack.item).unique) amounts.set(stack.item, (amounts.get(stack.item) ?? 0) + stack.quantity);
  }
  const purse = Object.entries(game.sheet.wallet).filter(([, amount]) => amount > 0);
  return h(
    "form",
    {
      key: "offer",
      class: "offer",
      onsubmit: (event) => {
        event.preventDefault();
        const { what, count } = event.target.elements;
        const [kind, name] = what.value.split(":");
        if (kind === "money") void game.trading.offerMoney(name, count.valueAsNumber);
        else if (kind === "thing") void game.trading.offerThing(name);
        else void game.trading.offerItem(name, count.valueAsNumber);
      },
    },
    h(
      "select",
      { name: "what", "aria-label": "What to offer" },
      purse.map(([currency, amount]) => h("option", { key: currency, value: `money:${currency}` }, `${titled(currency)} (${number(amount)})`)),
      [...amounts].map(([item, amount]) => h("option", { key: item, value: `item:${item}` }, `${game.item(item).title} (${number(amount)})`)),
      uniques.map((stack) => h("option", { key: stack.id, value: `thing:${stack.id}` }, [game.item(stack.item).title, about(game.item(stack.item))].filter(Boolean).join(", "))),
    ),
    h("input", { name: "count", type: "number", min: 1, step: 1, value: 1, required: true, "aria-label": "How many" }),
    h("button", {}, "Offer"),
  );
}

/** @param {import("./game.js").Game} game */
export function showPeople(game) {
  const { friends, requested, asking } = game.friends;
  const known = (list, user) => list.some((entry) => entry.userId === user);
  const here = game.others.slice(0, 30);
  const elsewhere = friends.filter((friend) => !here.some((person) => person.userId === friend.userId));
  show(
    byId("people"),
    h(
      "ul",
      { class: "rows" },
      here.map((person) =>
        h(
          "li",
          { key: person.userId, "data-person": person.username },
          dot(person.presence),
          h("span", { class: "what" }, person.username),
          known(friends, person.userId) && h("span", { class: "soft" }, "friend"),
          known(requested, person.userId) && h("span", { class: "soft" }, "asked"),
          known(asking, person.userId) && h("button", { type: "button", key: "accept", onclick: () => game.act("accept_friend", { player: person.userId }) }, "Be friends"),
          ![...friends, ...requested, ...asking].some((entry) => entry.userId === person.userId) &&
            h("button", { type: "button", key: "befriend", onclick: () => game.act("request_friend", { player: person.userId }) }, "Befriend"),
          h(
            "button",
            { type: "button", key: "trade", disabled: game.trading.table !== null, onclick: () => game.trading.open(person.userId, person.username) },
            "Trade",
          ),
        ),
      ),
      here.length === 0 && h("li", { class: "soft" }, "Nobody else. Open this page in a second window."),
    ),
    elsewhere.length > 0 && h("h3", {}, "Friends elsewhere"),
    elsewhere.length > 0 &&
      h("ul", { class: "rows" }, elsewhere.map((friend) => h("li", { key: friend.userId }, dot(game.presence.get(friend.userId) ?? "offline"), h("span", { class: "what" }, friend.username)))),
  );
}

export function dot(status) {
  return h("span", { class: `dot ${status}`, role: "img", "aria-label": status });
}

/** @param {import("./game.js").Game} game @param {any} box @param {import("./room.js").Room} room */
export function showTalk(game, box, room) {
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  show(
    box,
    room.messages.map((message) =>
      h(
        "p",
        { key: String(message.message), class: message.userId === game.id ? "own" : "" },
        h("time", { datetime: message.at }, clock(message.at)),
        h("strong", {}, message.username),
        message.deleted ? h("em", { class: "soft" }, "taken back") : message.text,
      ),
    ),
    room.messages.length === 0 && h("p", { class: "soft" }, "Nobody has said anything yet."),
  );
  if (atEnd) box.scrollTop = box.scrollHeight;
}

/** @param {import("./game.js").Game} game */
export function showBoard(game) {
  const { board, place } = game;
  const row = ({ rank, userId, username, score }) =>
    h("tr", { key: userId, class: userId === game.id ? "own" : "" }, h("td", {}, number(rank)), h("td", {}, username), h("td", {}, number(score)));
  const unseen = place && !board.some((standing) => standing.userId === game.id);
  show(
    byId("board"),
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Rank"), h("th", { scope: "col" }, "Who"), h("th", { scope: "col" }, "Points"))),
      h("tbody", {}, board.map(row), unseen && row(place)),
    ),
    board.length === 0 && h("p", { class: "soft" }, "Nobody has a point yet."),
  );
}

/** @param {import("./game.js").Game} game */
export function showPost(game) {
  const { messages, unread } = game.post;
  const ids = messages.filter((message) => !message.read).map((message) => message.id);
  show(
    byId("post"),
    h("p", {}, unread ? `${unread} unread. ` : "All read. ", unread > 0 && h("button", { type: "button", onclick: () => game.act("mark_read", { ids }) }, "Read all")),
    h(
      "ul",
      { class: "letters" },
      messages.slice(0, 12).map((message) =>
        h("li", { key: message.id, class: message.read ? "read" : "" }, h("strong", {}, message.title), " ", h("time", { datetime: message.at, class: "soft" }, clock(message.at)), h("br"), message.body),
      ),
    ),
  );
}
