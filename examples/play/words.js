/** What the game says to people: names, numbers, times, and what went wrong. */

import { ConnectionLost, DeadlinePassed, Invalid, RateLimited, ServerBug, Unauthenticated, Unavailable } from "./greenroom-client.js";

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

/** @param {number} amount @param {string} currency */
export function money(amount, currency) {
  return `${number(amount)} ${amount === 1 ? currency.replace(/s$/, "") : currency}`;
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

/** What a tier of an achievement is called; those without a name of their own are numbered, from 0. */
export function tierTitle({ title, tiers }, index) {
  const own = tiers[index].title;
  return own === title ? (tiers.length > 1 ? `${title} ${index + 1}` : title) : `${title}: ${own}`;
}

/** What there is to know of an item: how rare it is, and what it does for who wears or uses it. */
export function about({ rarity, level, stats, bound }) {
  const signed = Object.entries(stats ?? {}).map(([stat, value]) => `${titled(stat)} ${value < 0 ? "\u2212" : "+"}${Math.abs(value)}`);
  return [rarity !== "common" && titled(rarity), ...signed, level > 1 && `from level ${level}`, bound && "cannot be traded"].filter(Boolean).join(", ");
}

/** What something brings. */
export function reward(game, { currencies, experience, items }) {
  return [
    ...Object.entries(currencies ?? {}).map(([currency, amount]) => money(amount, currency)),
    ...(experience ? [`${number(experience)} experience`] : []),
    ...Object.entries(items ?? {}).map(([item, count]) => counted(count, game.item(item).title)),
  ].join(", ");
}

const FACTS = {
  balance_too_low: "There is not enough money.",
  items_missing: "Something that it takes is missing.",
  offer_changed: "The offers have changed in the meantime: look again.",
  offer_empty: "Nobody offers anything yet.",
  trade_closed: "This trade is over.",
  bag_full: "The bag is full.",
  stack_unknown: "That is not in the bag any more.",
  item_locked: "That is locked.",
  item_bound: "That stays with whom it belongs to.",
  guild_full: "This guild is full.",
  guild_unknown: "There is no such guild any more.",
  guild_name_taken: "A guild is called that already, or nearly so.",
  already_in_guild: "Who belongs to a guild already cannot come into another.",
  not_a_member: "Only members may do that.",
  role_too_low: "That is for those of higher rank to do.",
  leader_cannot_leave: "A leader makes somebody else the leader first, or disbands the guild.",
  storage_not_empty: "There is still something in the guild's storage.",
  invitation_unknown: "That invitation is not good any more.",
  invitation_expired: "That invitation is not good any more.",
  request_unknown: "That request is over.",
  channel_full: "There is no room left in there.",
  silenced: "You may not say anything here for a while.",
  player_unknown: "There is nobody of that name.",
  that_is_you: "That is you.",
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
  if (error instanceof ServerBug) return "Something went wrong on the server. It was noted; try again.";
  if (FACTS[error.code]) return FACTS[error.code];
  // What was filled in wrongly is named as it is called on the wire.
  if (error instanceof Invalid) return error.message.replace(/^(?:\w+\.)*(\w+): /, (_, field) => `${titled(field)} `);
  // A rule that says no more than its name, such as `not_ranked`.
  return !error.message || error.message === error.code ? fact(error.code || "it_did_not_work") : error.message;
}
