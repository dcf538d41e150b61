/** What needs no server: ids, waits, frames, and what a subscription takes and leaves. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Backoff } from "../src/backoff.js";
import { ConnectionLost, errorFrom, Refused, Unavailable } from "../src/errors.js";
import { pack, unpack } from "../src/frames.js";
import { newOp } from "../src/ids.js";
import { PUSHES_MAX, Subscription } from "../src/subscription.js";

test("op ids are ULIDs and never the same", () => {
  const ids = Array.from({ length: 1_000 }, newOp);
  assert.equal(new Set(ids).size, 1_000);
  for (const id of ids) assert.match(id, /^[0-9A-HJKMNP-TV-Z]{26}$/);
});

test("ids made later sort later", async () => {
  const first = newOp();
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok(newOp() > first);
});

test("waits grow to a ceiling, and a hint of the server is a floor", () => {
  const backoff = new Backoff(0.1, 1);
  for (let attempt = 0; attempt < 40; attempt++) {
    assert.ok(backoff.delayS(attempt) <= 1);
    assert.ok(backoff.delayS(attempt, 3) >= 3);
  }
});

test("both forms carry the same frame", () => {
  const frame = { type: "command", id: "1", data: { name: "Zoë", amount: 2 ** 50, list: [true, null] } };
  assert.deepEqual(unpack(pack("json", frame) as string), frame);
  assert.deepEqual(unpack((pack("msgpack", frame) as Uint8Array<ArrayBuffer>).buffer), frame);
});

test("what is no map is no frame", () => {
  assert.throws(() => unpack("[1]"), TypeError);
});

test("errors have the class of their status and say whether a repetition may help", () => {
  const refused = errorFrom(409, { code: "guild_full", message: "It is full.", requestId: "req_1" });
  assert.ok(refused instanceof Refused);
  assert.deepEqual([refused.code, refused.requestId, refused.worthRepeating], ["guild_full", "req_1", false]);
  assert.ok(errorFrom(503, {}) instanceof Unavailable);
  assert.ok(errorFrom(409, { code: "OP_IN_PROGRESS" }).worthRepeating);
  assert.ok(new ConnectionLost("gone").worthRepeating);
});

function push(seq: number, type = "player.update", reset = false) {
  return { type, meta: { topic: "player:me", seq, ...(reset ? { reset } : {}) }, data: { seq } };
}

async function taken(subscription: Subscription): Promise<number[]> {
  subscription.end();
  const seqs = [];
  for await (const { seq } of subscription) seqs.push(seq);
  return seqs;
}

test("each push is taken once and in order", async () => {
  const subscription = new Subscription("player:me");
  subscription.answered(push(4, "player.initial"));
  for (const seq of [4, 5, 5, 3, 6]) subscription.pushed(push(seq));
  assert.equal(subscription.initial?.seq, 4);
  assert.deepEqual(await taken(subscription), [5, 6]);
});

test("a reset is taken whatever its number", async () => {
  const subscription = new Subscription("player:me", 9);
  subscription.answered(push(2, "player.reset", true));
  subscription.pushed(push(3));
  assert.deepEqual(await taken(subscription), [3]);
});

test("a slow reader loses the oldest, and it is counted", async () => {
  const subscription = new Subscription("player:me", 0);
  subscription.answered(push(0, "player.resumed"));
  for (let seq = 1; seq <= PUSHES_MAX + 5; seq++) subscription.pushed(push(seq));
  assert.equal(subscription.dropped, 5);
  assert.equal((await taken(subscription))[0], 6);
});
