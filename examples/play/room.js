/** The talk of one channel: what was said of late, and what one says. */

import { newOp } from "./greenroom-client.js";

const TALK_MAX = 100;

export class Room {
  /** The newest messages, oldest first. @type {any[]} */
  messages = [];
  /**
   * @param {import("./game.js").Game} game
   * @param {string} key
   * @param {() => void} moved Somebody came or went.
   */
  constructor(game, key, moved = () => undefined) {
    this.game = game;
    this.key = key;
    this.moved = moved;
  }

  /** Listen to it, from the answer to a subscription on. */
  enter(topic) {
    this.messages = topic.initial.data.messages;
    void this.game.listen(topic, (push) => this.#overheard(push));
  }

  /** Say something. */
  say(text) {
    return this.game.attempt(() => this.game.connection.command("channel", this.key, "send", { text }, { op: newOp() }));
  }

  /** @param {any} push */
  #overheard(push) {
    if (push.reset) {
      this.messages = push.data.messages;
      return;
    }
    const { said, edited, deleted, joined, departed } = push.data;
    if (said) this.messages = [...this.messages, said].slice(-TALK_MAX);
    if (edited || deleted) void this.game.attempt(() => this.#anew());
    if (joined || departed) this.moved();
  }

  async #anew() {
    const page = (await this.game.connection.query("channel", this.key, "history", { limit: 50 })).data;
    this.messages = page.messages.reverse();
    this.game.screen.changed();
  }
}
