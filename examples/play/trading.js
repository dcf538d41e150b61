/** Trades of this player: who wants to, the one on the table, and what came of it. */

import { GreenroomError, newOp } from "./greenroom-client.js";
import { fact } from "./words.js";

const NOTHING = { items: {}, ids: [], currencies: {} };

export class Trading {
  /** Others who want to trade: `{key, by, name}`. @type {any[]} */
  invitations = [];
  /** The trade on the table: `{key, partner, name, terms}`. @type {any} */
  table = null;
  /** @type {any} */ #topic;

  /** @param {import("./game.js").Game} game */
  constructor(game) {
    this.game = game;
  }

  /** What one offers now. */
  get own() {
    return this.table.terms.offers[this.game.id] ?? NOTHING;
  }

  /** What the other one offers now. */
  get theirs() {
    return this.table.terms.offers[this.table.partner] ?? NOTHING;
  }

  /** Whether this user has agreed to the offers as they are. */
  agreed(user) {
    return this.table.terms.confirmed.includes(user);
  }

  /** Ask somebody to the table. */
  async open(partner, name) {
    const key = `t-${newOp()}`;
    await this.game.attempt(async () => {
      await this.#to(key, "open", { partner });
      await this.#sitDown(key, partner, name);
    });
  }

  /** Somebody's invitation is accepted. */
  async join(invitation) {
    this.#drop(invitation.key);
    await this.game.attempt(() => this.#sitDown(invitation.key, invitation.by, invitation.name));
  }

  /** Somebody's invitation is not wanted. */
  async decline(invitation) {
    this.#drop(invitation.key);
    this.game.screen.changed();
    await this.game.attempt(() => this.#to(invitation.key, "cancel", {}));
  }

  /** Offer so many of an item, instead of as many as before. */
  offerItem(item, count) {
    return this.#offer({ ...this.own, items: counted(this.own.items, item, count) });
  }

  /** Offer a thing of the bag by its id, or offer it no more. */
  offerThing(id, offered = true) {
    const ids = this.own.ids.filter((other) => other !== id);
    return this.#offer({ ...this.own, ids: offered ? [...ids, id] : ids });
  }

  /** What was offered by its id, as it lay in the bag then: `{item, quantity}`. */
  thing(id) {
    return this.table.terms.things[id] ?? { item: "something", quantity: 1 };
  }

  /** Offer so much money, instead of as much as before. */
  offerMoney(currency, amount) {
    return this.#offer({ ...this.own, currencies: counted(this.own.currencies, currency, amount) });
  }

  /** Agree to both offers as they are on the screen. */
  agree() {
    const { key, terms } = this.table;
    return this.game.attempt(() => this.#to(key, "confirm", { revision: terms.revision }));
  }

  /** Call it off. */
  cancel() {
    return this.game.attempt(() => this.#to(this.table.key, "cancel", {}));
  }

  /** A notification came: perhaps somebody wants to trade. */
  noticed(notice) {
    if (notice.template === "trade_opened") void this.game.attempt(() => this.#invited(notice.data));
  }

  /** Find the trades again that are open still. */
  async resume() {
    const told = this.game.post.messages.filter((message) => message.template === "trade_opened" && !message.read);
    for (const message of told.slice(0, 5)) await this.#invited(message.data).catch(() => undefined);
  }

  async #invited({ trade, by }) {
    const terms = (await this.game.connection.query("trade", trade, "terms", {})).data;
    if (terms.standing !== "open") return;
    const name = (await this.game.client.profile(by)).username;
    this.#drop(trade);
    this.invitations = [...this.invitations, { key: trade, by, name }];
    this.game.screen.told(`${name} wants to trade with you.`);
    this.game.screen.changed();
    setTimeout(() => {
      this.#drop(trade);
      this.game.screen.changed();
    }, Math.max(0, Date.parse(terms.expiresAt) - this.game.now()));
  }

  #drop(key) {
    this.invitations = this.invitations.filter((invitation) => invitation.key !== key);
  }

  async #sitDown(key, partner, name) {
    if (this.#topic) this.game.connection.unsubscribe(this.#topic);
    const topic = await this.game.connection.subscribe(`trade:${key}`);
    this.#topic = topic;
    this.table = { key, partner, name, terms: topic.initial.data };
    this.game.screen.changed();
    void this.#listen(topic);
  }

  async #listen(topic) {
    try {
      for await (const push of topic) {
        if (topic !== this.#topic) return;
        this.#heard(push);
        this.game.screen.changed();
        if (this.table === null) return this.game.connection.unsubscribe(topic);
      }
    } catch (error) {
      // A topic that ends with the connection is no news: the connection says so itself.
      if (!(error instanceof GreenroomError)) throw error;
    }
  }

  #heard(push) {
    const { data } = push;
    const terms = push.reset ? data : { ...this.table.terms };
    if (!push.reset) {
      terms.offers = { ...terms.offers, ...data.offers };
      terms.things = { ...terms.things, ...data.things };
      terms.revision = data.revision ?? terms.revision;
      terms.confirmed = data.confirmed ? [...data.confirmed] : [...terms.confirmed];
      if (data.agreed) terms.confirmed.push(data.agreed);
      terms.standing = data.standing ?? terms.standing;
      terms.why = data.why ?? terms.why;
    }
    this.table = { ...this.table, terms };
    if (terms.standing === "completed") this.#end(`The trade with ${this.table.name} is done.`);
    if (terms.standing === "cancelled") this.#end(`No trade with ${this.table.name}: ${fact(terms.why)}`, "alert");
  }

  #end(text, kind = "") {
    this.table = null;
    this.#topic = undefined;
    this.game.stale("bag", "recipes", "sheet");
    this.game.screen.told(text, kind);
  }

  #offer(goods) {
    return this.game.attempt(() => this.#to(this.table.key, "offer", { goods }));
  }

  /**
   * @template {keyof import("./greenroom-client.js").Commands["trade"] & string} N
   * @param {string} key
   * @param {N} name
   * @param {import("./greenroom-client.js").Commands["trade"][N]} data
   */
  #to(key, name, data) {
    return this.game.connection.command("trade", key, name, data);
  }
}

function counted(counts, name, count) {
  const { [name]: _, ...others } = counts;
  return count > 0 ? { ...others, [name]: count } : others;
}
