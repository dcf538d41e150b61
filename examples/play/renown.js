/** Achievements: what was reached, and what is near. */

import { progress } from "./adventure.js";
import { byId, h, show } from "./dom.js";
import { number, reward, tierTitle } from "./words.js";

/** Those that are shown as the next ones to reach. */
const NEXT = 4;

/** @param {import("./game.js").Game} game */
export function showAchievements(game) {
  const { achievements } = game.achievements;
  const tiers = achievements.flatMap((feat) => feat.tiers.map((tier, index) => ({ ...tier, key: `${feat.achievement}-${index + 1}`, title: tierTitle(feat, index), feat })));
  const reached = tiers.filter((tier) => tier.unlockedAt).sort((one, other) => (one.unlockedAt < other.unlockedAt ? 1 : -1));
  const near = achievements
    .map((feat) => ({ feat, index: feat.tiers.findIndex((tier) => !tier.unlockedAt) }))
    .filter(({ index }) => index >= 0)
    .sort((one, other) => part(other) - part(one));
  show(
    byId("achievements"),
    reached.length === 0 && h("p", { class: "soft", key: "none" }, "None yet. What you do brings them, one by one."),
    h(
      "ul",
      { class: "rows", key: "reached" },
      reached.map((tier) =>
        h("li", { key: tier.key, "data-reached": tier.key }, h("span", { class: "medal", "aria-hidden": "true" }, "★"), h("span", { class: "what" }, tier.title), h("span", { class: "soft" }, new Date(tier.unlockedAt).toLocaleDateString("en-GB"))),
      ),
    ),
    h("h3", { key: "next" }, "Next"),
    near.slice(0, NEXT).map((one) => nearing(game, one)),
    h("details", { key: "others" }, h("summary", {}, `Others: ${Math.max(0, near.length - NEXT)}`), near.slice(NEXT).map((one) => nearing(game, one))),
  );
}

/** How far one is with the next tier, from 0 to 1. */
function part({ feat, index }) {
  return Math.min(1, feat.progress / feat.tiers[index].target);
}

function nearing(game, { feat, index }) {
  const { target, rewards } = feat.tiers[index];
  const brings = reward(game, rewards);
  return h(
    "div",
    { key: `near-${feat.achievement}`, "data-achievement": feat.achievement },
    progress(feat.achievement, `${tierTitle(feat, index)}: ${number(Math.min(feat.progress, target))} of ${number(target)}`, part({ feat, index })),
    (feat.text || brings) && h("p", { class: "soft small" }, [feat.text, brings && `Brings ${brings}.`].filter(Boolean).join(" ")),
  );
}
