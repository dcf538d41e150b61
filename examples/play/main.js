/** The page: coming in, what is shown when something changes, and leaving. */

import { showDeeds, showQuests, showWorkshop } from "./adventure.js";
import { showBoard, showMarket, showPeople, showPost, showTalk } from "./company.js";
import { byId, h } from "./dom.js";
import { Game } from "./game.js";
import { Client, GreenroomError, MfaRequired, Unauthenticated } from "./greenroom-client.js";
import { showGuild } from "./guildhall.js";
import { showBag, showHero } from "./hero.js";
import { showAchievements } from "./renown.js";
import { inWords } from "./words.js";

const SESSION = "greenroom-session";
const NEWS_MS = 6_000;
const NEWS_MAX = 4;
const FRAME_MS = 250;

const PARTS = [showBag, showDeeds, showQuests, showWorkshop, showAchievements, showMarket, showPeople, showGuild, showBoard, showPost];

/** Each window is somebody of its own: what proves who that is stays in the window. */
const kept = JSON.parse(sessionStorage.getItem(SESSION) ?? "null") ?? {};

/** @type {Game | null} */
let game = null;
/** @type {any} */
let frame;
/** @type {any} */
let half = null;

const client = new Client(location.origin, { tokens: kept.tokens, onTokens: (tokens) => keep({ tokens }) });

function keep(change) {
  Object.assign(kept, change);
  sessionStorage.setItem(SESSION, JSON.stringify(kept));
}

/** Shows some words for a while; those that are an `alert` are read out at once. */
function tell(text, kind = "") {
  const line = h("p", { class: kind, role: kind || null }, text);
  const news = byId("news");
  news.append(line);
  while (news.childElementCount > NEWS_MAX) news.firstElementChild.remove();
  setTimeout(() => line.remove(), NEWS_MS);
}

/** Between a click and its answer, the button cannot be pressed again. */
async function busily(form, work) {
  const buttons = form.querySelectorAll("button");
  for (const button of buttons) button.disabled = true;
  try {
    await work();
  } catch (error) {
    tell(inWords(error), "alert");
    if (!(error instanceof GreenroomError)) throw error;
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

async function enter() {
  const opening = new Game(client, { changed, told: tell, ended });
  game = opening;
  try {
    await opening.open();
  } catch (error) {
    game = null;
    opening.connection?.close();
    if (error instanceof Unauthenticated) out();
    throw error;
  }
  document.body.dataset.scene = "game";
  byId("door").hidden = true;
  byId("game").hidden = byId("tabs").hidden = false;
  frame = setInterval(() => game?.moving && changed(), FRAME_MS);
  changed();
}

/** Draws what is known by now, at most once for all changes of a moment. */
let drawing = false;
function changed() {
  if (drawing || !game?.sheet || byId("game").hidden) return;
  drawing = true;
  queueMicrotask(() => {
    drawing = false;
    if (!game) return;
    showHero(game, { guest: kept.guest === true, keep: keepHero, leave });
    for (const part of PARTS) part(game);
    showTalk(game, byId("talk"), game.lobby);
    news("market", game.trading.invitations.length);
    news("town", game.post.unread);
    news("guild", game.guild.invitations.length + game.guild.candidates.requests.length);
  });
}

/** Something waits behind a tab. */
function news(tab, count) {
  byId("tabs").querySelector(`[value=${tab}]`).dataset.news = String(count || "");
}

async function keepHero(event) {
  event.preventDefault();
  const { username, password } = event.target.elements;
  await busily(event.target, async () => {
    await client.upgrade(username.value, password.value);
    keep({ guest: false });
    tell(`You are ${username.value} from now on.`);
    game?.stale("sheet");
  });
}

async function leave() {
  const leaving = game;
  game = null;
  await leaving?.close();
  await client.logout().catch(() => undefined);
  out();
}

function ended(error) {
  game = null;
  tell(inWords(error), "alert");
  out();
}

function out() {
  clearInterval(frame);
  sessionStorage.removeItem(SESSION);
  for (const name of Object.keys(kept)) delete kept[name];
  document.body.dataset.scene = "door";
  byId("door").hidden = false;
  byId("game").hidden = byId("tabs").hidden = true;
  byId("who").replaceChildren();
  byId("guest").focus();
}

byId("guest").onclick = () =>
  busily(byId("door"), async () => {
    await client.guest(crypto.randomUUID());
    keep({ guest: true });
    await enter();
  });

byId("login").onsubmit = (event) => {
  event.preventDefault();
  const { username, password, code } = event.target.elements;
  const way = event.submitter?.value;
  void busily(byId("door"), async () => {
    try {
      if (half) await client.verifyMfa(half.mfaToken, code.value);
      else if (way === "register") await client.register(username.value, password.value);
      else await client.login(username.value, password.value);
    } catch (error) {
      if (!(error instanceof MfaRequired)) throw error;
      half = error;
      byId("second-factor").hidden = false;
      code.focus();
      return;
    }
    half = null;
    byId("second-factor").hidden = true;
    password.value = code.value = "";
    keep({ guest: false });
    await enter();
  });
};

/** What is typed is said in a room, and stays there when it could not be. */
function speaks(form, room) {
  byId(form).onsubmit = async (event) => {
    event.preventDefault();
    const { text } = event.target.elements;
    const said = text.value.trim();
    if (said && game && (await room(game)?.say(said))) text.value = "";
  };
}

speaks("say", (playing) => playing.lobby);
speaks("guild-say", (playing) => playing.guild.room);

byId("tabs").onclick = (event) => {
  const tab = event.target.closest("button")?.value;
  if (!tab) return;
  document.body.dataset.tab = tab;
  mark();
  scrollTo(0, 0);
};

function mark() {
  for (const button of byId("tabs").children) button.setAttribute("aria-current", String(button.value === document.body.dataset.tab));
}

mark();
if (kept.tokens) busily(byId("door"), enter);
