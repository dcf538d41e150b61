/** The guild of this player: which one it is, who else belongs to it, its talk, and how one comes to one. */

import { pause } from "./pause.js";
import { Room } from "./room.js";

/** A guild and its room learn of a new member one after the other, each in its own time. */
const TRIES = 12;
const TRY_AGAIN_MS = 250;
const TRY_AGAIN_MS_MAX = 3_000;

const NOBODY = { invitations: [], requests: [] };

export class Guild {
  /** The own one: `{guild, name, since}`. @type {any} */
  own = null;
  /** Guilds that would have this player. @type {any[]} */
  invitations = [];
  /** What there is to know of the own one. @type {any} */
  profile = null;
  /** What its bank holds, by currency. @type {any} */
  bank = {};
  /** Who was invited, and who asks to be let in. @type {any} */
  candidates = NOBODY;
  /** Guilds that were found, and what was sought. @type {any[]} */
  found = [];
  sought = "";
  /** Where its members talk. @type {Room | null} */
  room = null;
  /** What is listened to while one belongs there. @type {any[]} */ #topics = [];

  /** @param {import("./game.js").Game} game */
  constructor(game) {
    this.game = game;
  }

  /** What this player is in the own guild: `leader`, `officer` or `member`. */
  get role() {
    return this.profile?.roster.find((member) => member.userId === this.game.id)?.role;
  }

  /** Whether it is for this player to say who comes in. */
  get decides() {
    return this.role === "leader" || this.role === "officer";
  }

  /** Ask which guild is the own one, and all that follows from it. */
  async learn() {
    const { guild, invitations } = (await this.game.connection.query("player", "me", "own_guild", {})).data;
    const before = this.own?.guild;
    this.own = guild;
    this.invitations = invitations;
    if (before !== guild?.guild) {
      this.#goOut();
      if (guild) void this.game.attempt(() => this.#goIn(guild.guild));
    }
    await (guild ? this.look() : this.search());
  }

  /** Ask how the own guild is now. */
  async look() {
    if (!this.own) return;
    this.profile = (await this.game.connection.query("guild", this.own.guild, "profile", {})).data;
    // A new member's guild may not know of it yet, and tells members alone.
    if (this.role) this.bank = (await this.game.connection.query("guild", this.own.guild, "bank", { limit: 1 })).data.balances;
    this.candidates = this.decides ? (await this.game.connection.query("guild", this.own.guild, "candidates", {})).data : NOBODY;
  }

  /** Find guilds to join. */
  async search() {
    const wanted = { name: this.sought, limit: 20 };
    this.found = (await this.game.connection.query("guild_directory", "main", "search", wanted)).data.guilds;
  }

  /** Found one, and lead it. */
  async create(name, open) {
    const key = `${slug(name)}-${crypto.randomUUID().slice(0, 8)}`;
    const done = await this.#say("create", { name, open }, key);
    if (done) this.game.screen.told(`${name} is founded. May it stand long!`);
    return done;
  }

  /** Come into one, or ask to. */
  async join({ guild, name }) {
    const done = await this.#say("join", {}, guild);
    if (done?.data.status === "requested") this.game.screen.told(`You have asked ${name} to let you in.`);
  }

  accept({ guild }) {
    return this.#say("accept_invitation", {}, guild);
  }

  decline({ guild }) {
    return this.#say("decline_invitation", {}, guild);
  }

  invite(player) {
    return this.#say("invite", { player });
  }

  letIn(player) {
    return this.#say("accept_request", { player });
  }

  turnAway(player) {
    return this.#say("decline_request", { player });
  }

  putOut(player) {
    return this.#say("kick", { player });
  }

  handOver(player) {
    return this.#say("transfer_leadership", { player });
  }

  payIn(currency, amount) {
    return this.#say("deposit", { currency, amount });
  }

  leave() {
    return this.#say("leave", {});
  }

  disband() {
    return this.#say("disband", {});
  }

  /**
   * @template {keyof import("./greenroom-client.js").Commands["guild"] & string} N
   * @param {N} name
   * @param {import("./greenroom-client.js").Commands["guild"][N]} data
   * @param {string} key
   */
  async #say(name, data, key = this.own?.guild) {
    const done = await this.game.attempt(() => this.game.connection.command("guild", key, name, data));
    this.game.stale("belonging", "sheet");
    return done;
  }

  /** Listen to the guild, and to what its members say. */
  async #goIn(key) {
    const guild = await this.#listened(`guild:${key}`, key);
    const talk = await this.#listened(`channel:guild.${key}`, key);
    const topics = [guild, talk].filter((topic) => topic !== undefined);
    if (this.own?.guild !== key || topics.length < 2) {
      for (const topic of topics) this.game.connection.unsubscribe(topic);
      return;
    }
    this.#topics = topics;
    void this.game.listen(guild, () => this.game.stale("guild"));
    this.room = new Room(this.game, `guild.${key}`);
    this.room.enter(talk);
    this.game.stale("guild");
  }

  /** @returns {Promise<any>} The subscription; undefined when one does not belong there any more. */
  async #listened(topic, key) {
    for (let tries = 1; this.own?.guild === key; tries++) {
      try {
        return await this.game.connection.subscribe(topic);
      } catch (error) {
        if (tries === TRIES) throw error;
        await pause(Math.min(TRY_AGAIN_MS * 2 ** tries, TRY_AGAIN_MS_MAX));
      }
    }
    return undefined;
  }

  #goOut() {
    for (const topic of this.#topics) this.game.connection.unsubscribe(topic);
    this.#topics = [];
    this.room = this.profile = null;
    this.candidates = NOBODY;
  }
}

/** A name as a part of a key. @param {string} name */
function slug(name) {
  const words = name.normalize("NFKD").toLowerCase().match(/[a-z0-9]+/g) ?? ["guild"];
  return words.join("-").slice(0, 20).replace(/-$/, "");
}
