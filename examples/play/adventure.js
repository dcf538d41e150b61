/** Deeds, quests and the workshop: what there is to do. */

import { byId, h, show } from "./dom.js";
import { counted, duration, points, reward, titled } from "./words.js";

/** What can be done for points (`content/actions.yaml`); a boss that falls in under two seconds would look suspicious. */
const DEEDS = [
  { type: "quick_win", title: "A small deed", verb: "Do a small deed", worth: 1, takesMs: 1300 },
  { type: "boss_kill", title: "A boss", verb: "Fight a boss", worth: 50, takesMs: 2600 },
];

/** @param {import("./game.js").Game} game */
export function showDeeds(game) {
  const { deed } = game;
  show(
    byId("deeds"),
    h(
      "p",
      { class: "buttons" },
      DEEDS.map(({ type, title, verb, worth, takesMs }) =>
        h(
          "button",
          { type: "button", key: type, class: "first", disabled: deed !== null, onclick: () => game.perform(type, title, takesMs) },
          verb,
          h("small", {}, points(worth)),
        ),
      ),
    ),
    progress("deed", deed ? deed.title : "Nothing under way", deed ? (game.now() - deed.from) / (deed.until - deed.from) : 0),
  );
}

/** @param {import("./game.js").Game} game */
export function showQuests(game) {
  const { active, available, completed } = game.quests;
  show(
    byId("quests"),
    active.map((quest) => activeQuest(game, quest)),
    active.length === 0 && h("p", { class: "soft" }, "You are on no quest. Take one on:"),
    h("h3", {}, "To take on"),
    available.map((quest) =>
      h(
        "article",
        { key: quest.quest, "data-quest": quest.quest },
        h("h4", {}, quest.title),
        quest.text && h("p", {}, quest.text),
        h("p", { class: "soft" }, "Brings ", reward(game, quest.rewards), quest.withinS ? `. You have ${duration(quest.withinS * 1000)}.` : "."),
        h("button", { type: "button", onclick: () => game.act("start_quest", { quest: quest.quest }) }, "Take it on"),
      ),
    ),
    available.length === 0 && h("p", { class: "soft" }, "Nothing that you could do now."),
    completed.length > 0 &&
      h("details", { key: "done" }, h("summary", {}, `Done: ${completed.length}`), h("ul", {}, completed.map((quest) => h("li", { key: quest.quest, "data-done": quest.quest }, quest.title)))),
  );
}

function activeQuest(game, quest) {
  const left = quest.endsAt ? Date.parse(quest.endsAt) - game.now() : 0;
  return h(
    "article",
    { key: quest.quest, class: "active", "data-quest": quest.quest },
    h("h4", {}, quest.title),
    Object.entries(quest.objectives).map(([key, objective]) =>
      progress(key, `${objective.title}: ${objective.progress} of ${objective.target}`, objective.progress / objective.target),
    ),
    quest.endsAt && h("p", { class: "soft" }, `${duration(left)} left.`),
    h(
      "p",
      { class: "buttons" },
      quest.turnIn &&
        h("button", { type: "button", class: "first", disabled: quest.state !== "ready", onclick: () => game.act("complete_quest", { quest: quest.quest }) }, "Turn it in"),
      h("button", { type: "button", onclick: () => game.act("abandon_quest", { quest: quest.quest }) }, "Give up"),
    ),
  );
}

/** @param {import("./game.js").Game} game */
export function showWorkshop(game) {
  const { jobs } = game.works;
  const owned = new Set([...game.bag.stacks, ...Object.values(game.bag.equipment)].map((stack) => stack.item));
  const ready = game.recipes.filter(
    (recipe) => recipe.enough && recipe.level <= game.sheet.level && recipe.tools.every((tool) => owned.has(tool)),
  );
  const others = game.recipes.filter((recipe) => !ready.includes(recipe) && recipe.level <= game.sheet.level);
  show(
    byId("workshop"),
    jobs.map((job) => work(game, job)),
    jobs.length === 0 && h("p", { class: "soft" }, "No work under way."),
    h("h3", {}, "You have what it takes for"),
    ready.map((recipe) => offered(game, recipe, true)),
    ready.length === 0 && h("p", { class: "soft" }, "Nothing yet: quests and trades bring materials."),
    h("details", { key: "others" }, h("summary", {}, `Other recipes at your level: ${others.length}`), others.map((recipe) => offered(game, recipe, false))),
  );
}

function work(game, job) {
  const from = Date.parse(job.startsAt);
  const until = Date.parse(job.readyAt);
  const now = game.now();
  const part = Math.max(0, Math.min(1, (now - from) / (until - from)));
  const title = game.recipes.find((recipe) => recipe.recipe === job.recipe)?.title ?? titled(job.recipe);
  const state = now < from ? `begins in ${duration(from - now)}` : now < until ? `${duration(until - now)} to go` : "done";
  return h(
    "div",
    { class: "work", key: job.id, "data-work": job.recipe },
    progress(job.id, `${title}: ${state}`, part),
    h("button", { type: "button", disabled: now >= until, onclick: () => game.act("cancel_craft", { id: job.id }) }, "Stop"),
  );
}

function offered(game, recipe, enough) {
  const list = (counts) => Object.entries(counts).map(([item, count]) => counted(count, game.item(item).title)).join(", ");
  const tools = recipe.tools.map((tool) => game.item(tool).title);
  return h(
    "article",
    { key: recipe.recipe, "data-recipe": recipe.recipe },
    h("h4", {}, recipe.title, " ", h("small", { class: "soft" }, [recipe.station && titled(recipe.station), duration(recipe.takesS * 1000), recipe.chance < 100 && `${recipe.chance} %`].filter(Boolean).join(", "))),
    h("p", {}, list(recipe.ingredients), " for ", list(recipe.outputs), "."),
    tools.length > 0 && h("p", { class: "soft" }, "Takes a tool: ", tools.join(", "), "."),
    enough && h("button", { type: "button", onclick: () => game.act("craft", { recipe: recipe.recipe }) }, "Make"),
  );
}

/** How far something is, in words and as a bar. @param {number} part from 0 to 1 */
export function progress(key, words, part) {
  return h("div", { class: "bar", key }, h("span", {}, words), h("progress", { value: Math.round(part * 1000), max: 1000, "aria-label": words }));
}
