/** What the game says to people: names, numbers, times, and what went wrong. */

import { ConnectionLost, DeadlinePassed, RateLimited, Unauthenticated, Unavailable } from "./greenroom-client.js";

const whole = new Intl.NumberFormat("en");

/** `iron_sword` as a title. */
export function titled(name) {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** @param {number} amount */
export function number(amount) {
  return whole.format(amount);
}

/** So many of something; the number stays with what follows it. @param {number} amount @param {string} title */
export function counted(amount, title) {
  return `${number(amount)}\u00a0× ${title}`;
}

/** @param {number} amount */
export function points(amount) {
  return amount === 1 ? "1 point" : `${number(amount)} points`;
}

/** How long that is, roughly. @param {number} ms */
export function duration(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

/** The time of day. @param {string} at */
export function clock(at) {
  return new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

const FACTS = {
  balance_too_low: "There is not enough money.",
  items_missing: "Something that it takes is missing.",
  offer_changed: "The offers have changed in the meantime: look again.",
  offer_empty: "Nobody offers anything yet.",
  trade_closed: "This trade is over.",
  bag_full: "The bag is full.",
  username_taken: "Somebody is called that already.",
  expired: "It took too long.",
  cancelled: "It was called off.",
};

/** A fact of the rules, such as why a trade came to nothing. @param {string} code */
export function fact(code) {
  return FACTS[code] ?? `${titled(code)}.`;
}

/** What went wrong, for who plays. @param {any} error */
export function inWords(error) {
  if (error instanceof DeadlinePassed) return "No answer in time. It may have happened all the same: look before you repeat it.";
  if (error instanceof ConnectionLost) return "The connection is lost. It comes back by itself.";
  if (error instanceof RateLimited) return `That was too much at once. Try again in ${duration((error.retryAfterS ?? 1) * 1000)}.`;
  if (error instanceof Unavailable) return "The server is busy. Try again in a moment.";
  if (error instanceof Unauthenticated) return "That name and password do not go together, or you were logged out.";
  return FACTS[error.code] || error.message || "Something went wrong.";
}
