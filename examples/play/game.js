/** The game as one player knows it: what the server said last, kept fresh by what topics tell. */

import { Forbidden, GreenroomError } from "./greenroom-client.js";
import { Guild } from "./guild.js";
import { pause } from "./pause.js";
import { Room } from "./room.js";
import { Trading } from "./trading.js";
import { counted, inWords, points, tierTitle } from "./words.js";

/** Where everybody meets. */
export const ROOM = "lobby";
export const BOARD = "main";
const PEOPLE_EVERY_MS = 10_000;
/** Letters that are told of at once. */
const URGENT = /^(guild|friend)_/;

/** What to ask anew when a push of the player's own topic has one of these fields. */
const STALE = {
  experience: ["sheet"],
  level: ["sheet", "quests"],
  wallet: ["sheet"],
  condition: ["sheet"],
  username: ["sheet"],
  score: ["sheet", "place"],
  equipment: ["sheet", "bag"],
  quests: ["quests"],
  crafting: ["works", "bag"],
  received: ["bag", "recipes", "quests"],
  taken: ["bag", "recipes"],
  claimed: ["bag", "recipes"],
  moved: ["bag"],
  locked: ["bag", "recipes"],
  notifications: ["post"],
  read: ["post"],
  deleted: ["post"],
  friends: ["friends"],
  guild: ["belonging", "quests"],
  guildInvitations: ["belonging"],
  skills: ["skills"],
};

/** What to ask for when nothing is known. */
const OWN = ["sheet", "quests", "bag", "works", "recipes", "post", "friends", "achievements", "skills", "belonging"];

export class Game {
  /** @type {any} */ sheet = null;
  /** @type {any} */ quests = { available: [], active: [], completed: [] };
  /** @type {any} */ bag = { capacity: 0, stacks: [], equipment: {}, waiting: [] };
  /** @type {any} */ works = { jobs: [] };
  /** @type {any[]} */ recipes = [];
  /** @type {any} */ post = { unread: 0, messages: [] };
  /** @type {any} */ friends = { friends: [], requested: [], asking: [] };
  /** @type {any} */ place = null;
  /** @type {any[]} */ board = [];
  /** @type {any[]} */ people = [];
  /** @type {any} */ achievements = { unlocked: 0, achievements: [] };
  /** @type {any[]} */ skills = [];
  /** The definitions of items, by name. */
  items = new Map();
  /** Friends' presence, by user. */
  presence = new Map();
  /** What is being done right now: `{title, from, until}`. @type {any} */ deed = null;
  /** @type {string} */ status = "open";

  #stale = new Set();
  #refreshing = false;
  #behindMs = 0;
  /** @type {any} */ #timer;
  /** @type {import("./greenroom-client.js").Connection | undefined} */ connection;

  /**
   * @param {import("./greenroom-client.js").Client} client
   * @param {{changed: () => void, told: (text: string, kind?: string) => void, ended: (error: any) => void}} screen
   */
  constructor(client, screen) {
    this.client = client;
    this.screen = screen;
    this.trading = new Trading(this);
    this.guild = new Guild(this);
    this.lobby = new Room(this, ROOM, () => this.stale("people"));
  }

  /** Connect, learn everything, and listen from then on. */
  async open() {
    this.connection = await this.client.connect({
      form: "msgpack",
      onStatus: (status, error) => {
        this.status = status;
        this.screen.changed();
        if (status === "open" && this.sheet) this.#refreshAll();
        if (status === "ended" && error) this.screen.ended(error);
      },
    });
    this.#behindMs = Date.parse(this.connection.welcome.serverTime) - Date.now();
    const own = await this.connection.subscribe("player:me");
    for (const item of await this.#pages("items")) this.items.set(item.item, item);
    await Promise.all(OWN.map((part) => this.#ask(part)));
    await this.#enter();
    void this.listen(own, (push) => this.#heard(push));
    await this.trading.resume();
    this.#timer = setInterval(() => this.stale("people", ...(this.guild.own ? [] : ["guilds"])), PEOPLE_EVERY_MS);
    this.screen.changed();
  }

  /** Leave the room and the game. */
  async close() {
    clearInterval(this.#timer);
    await this.connection.command("channel", ROOM, "leave", {}).catch(() => undefined);
    this.connection.close();
  }

  get id() {
    return this.client.userId;
  }

  /** The server's time, in ms. */
  now() {
    return Date.now() + this.#behindMs;
  }

  /** Whether anything on the screen changes with time alone. */
  get moving() {
    const filling = Object.values(this.sheet.resources).some(({ fullAt }) => fullAt && Date.parse(fullAt) > this.now() - 1000);
    return Boolean(this.deed) || this.works.jobs.length > 0 || filling || this.quests.active.some((quest) => quest.endsAt);
  }

  /** An item's definition, or the little that its name tells. @param {string} name */
  item(name) {
    return this.items.get(name) ?? { item: name, title: name, rarity: "common", slots: [] };
  }

  /** Everybody who is in the room now, but oneself. */
  get others() {
    return this.people.filter((person) => person.userId !== this.id && person.presence !== "offline");
  }

  /** Where somebody is, as far as it is known: in the room, or a friend. */
  whereabouts(user) {
    return this.people.find((person) => person.userId === user)?.presence ?? this.presence.get(user) ?? "offline";
  }

  /** Do something; what goes wrong is told in words. Answers undefined then. */
  async attempt(work) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof GreenroomError)) throw error;
      this.screen.told(inWords(error), "alert");
      return undefined;
    }
  }

  /**
   * A command to one's own player.
   * @template {keyof import("./greenroom-client.js").Commands["player"] & string} N
   * @param {N} name
   * @param {import("./greenroom-client.js").Commands["player"][N]} data
   */
  async act(name, data) {
    return this.attempt(async () => (await this.connection.command("player", "me", name, data)).data);
  }

  /** Start an action, take one's time, and complete it. */
  async perform(type, title, takesMs) {
    if (this.deed) return;
    this.deed = { title, from: this.now(), until: this.now() + takesMs };
    this.screen.changed();
    await this.attempt(async () => {
      const action = (await this.connection.command("player", "me", "start_action", { type })).data;
      await pause(takesMs);
      const done = { actionId: action.id, actionToken: action.actionToken };
      const award = (await this.connection.command("player", "me", "complete_action", done)).data;
      const earned = points(award.score.current - award.score.previous);
      this.screen.told(award.warning ? `${title}: ${earned}, but somebody finds it suspicious.` : `${title}: ${earned}.`);
    });
    this.deed = null;
    this.screen.changed();
  }

  /** These parts are not what they were: ask for them, once for all that come together. */
  stale(...parts) {
    for (const part of parts) this.#stale.add(part);
    if (!this.#refreshing) void this.#refresh();
  }

  #refreshAll() {
    this.stale(...OWN, "place", "people");
  }

  async #refresh() {
    this.#refreshing = true;
    await pause(30);
    while (this.#stale.size) {
      const parts = [...this.#stale];
      this.#stale.clear();
      await Promise.all(parts.map((part) => this.#ask(part).catch(() => undefined)));
      this.screen.changed();
    }
    this.#refreshing = false;
  }

  async #ask(part) {
    const query = async (name) => (await this.connection.query("player", "me", name, {})).data;
    if (part === "sheet") this.sheet = { ...(await query("profile")), seenAt: this.now() };
    else if (part === "quests") this.quests = await query("quests");
    else if (part === "bag") this.bag = await query("inventory");
    else if (part === "works") this.works = await query("crafting");
    else if (part === "recipes") this.recipes = await this.#pages("recipes");
    else if (part === "post") this.#posted(await query("inbox"));
    else if (part === "achievements") this.achievements = await query("achievements");
    else if (part === "skills") this.skills = (await query("skills")).skills;
    else if (part === "belonging") await this.guild.learn();
    else if (part === "guild") await this.guild.look();
    else if (part === "guilds") await this.guild.search();
    else if (part === "friends") this.friends = await query("friends");
    else if (part === "place") this.place = (await this.connection.query("leaderboard", BOARD, "me", {})).data;
    else if (part === "people") this.people = (await this.client.get(`/channels/${ROOM}/members`, { limit: 1000 })).members;
  }

  /** All pages of a part of the content. @param {"items" | "recipes"} name */
  async #pages(name) {
    const all = [];
    for (let after = null; ; ) {
      const page = (await this.connection.query("player", "me", name, { after, limit: 50 })).data;
      all.push(...page[name]);
      after = page.next;
      if (after === null) return all;
    }
  }

  /** Listen to what everybody hears: the room, the board, and where friends are. */
  async #enter() {
    await this.attempt(() => this.#join());
    const board = await this.connection.subscribe(`leaderboard:${BOARD}`);
    const ranked = (told) => (this.board = told.data);
    ranked(board.initial);
    void this.listen(board, (push) => {
      ranked(push);
      if (this.place) this.stale("place");
    });
    const presence = await this.connection.subscribe("presence:me");
    const seen = ({ userId, status }) => this.presence.set(userId, status ?? "offline");
    const all = (told) => told.forEach(seen);
    all(presence.initial.data);
    void this.listen(presence, (push) => (Array.isArray(push.data) ? all(push.data) : seen(push.data)));
    this.stale("people", "place");
  }

  /** Be in the room. When it is full, one plays without its talk. */
  async #join() {
    await this.connection.command("channel", ROOM, "join", {});
    this.lobby.enter(await this.connection.subscribe(`channel:${ROOM}`));
  }

  /** Letters came, or were read; those that somebody waits for are told of. */
  #posted(post) {
    const known = new Set(this.post.messages.map((message) => message.id));
    const fresh = this.post.known ? post.messages.filter((message) => !message.read && !known.has(message.id)) : [];
    for (const letter of fresh) if (URGENT.test(letter.template)) this.screen.told(letter.body);
    this.post = { ...post, known: true };
  }

  /** @param {any} push */
  #heard(push) {
    if (push.reset) return this.#refreshAll();
    for (const field of Object.keys(push.data)) this.stale(...(STALE[field] ?? []));
    for (const notice of push.data.notifications ?? []) this.trading.noticed(notice);
    const received = Object.entries(push.data.received ?? {}).map(([item, quantity]) => counted(quantity, this.item(item).title));
    if (received.length > 0) this.screen.told(`Received: ${received.join(", ")}.`);
    for (const made of Object.values(push.data.crafting ?? {})) {
      if (made?.succeeded === false) this.screen.told("The work has failed.", "alert");
    }
    if (push.data.level) this.screen.told(`Level ${push.data.level}!`);
    for (const [name, progress] of Object.entries(push.data.achievements ?? {})) this.#nearer(name, progress);
    for (const [name, tier] of Object.entries(push.data.unlocked ?? {})) void this.attempt(() => this.#unlocked(name, tier));
  }

  /** An achievement came closer; what was hidden until now is not known here. */
  #nearer(name, progress) {
    const feat = this.achievements.achievements.find((one) => one.achievement === name);
    if (feat) feat.progress = Math.min(progress, feat.tiers.at(-1).target);
  }

  async #unlocked(name, tier) {
    await this.#ask("achievements");
    const feat = this.achievements.achievements.find((one) => one.achievement === name);
    if (feat) this.screen.told(`Achievement: ${tierTitle(feat, tier - 1)}.`);
    this.screen.changed();
  }

  /** Listen to a topic to its end, and show what it told. */
  async listen(subscription, heard) {
    try {
      for await (const push of subscription) {
        heard(push);
        this.screen.changed();
      }
    } catch (error) {
      if (!(error instanceof GreenroomError)) throw error;
      // Who belongs to a guild no longer hears of it no longer, and is told why by a letter.
      if (this.status !== "ended" && !(error instanceof Forbidden)) this.screen.told(inWords(error), "alert");
    }
  }
}
