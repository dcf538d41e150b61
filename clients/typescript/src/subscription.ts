/** A topic that a connection listens to: what it tells, in order, across reconnects. */

import type { GreenroomError } from "./errors.js";
import type { Frame } from "./frames.js";

/** Pushes that may wait for a slow reader; beyond it the oldest are dropped, and counted. */
export const PUSHES_MAX = 1_000;

/**
 * Something that a topic told; `seq` numbers what the topic tells. With `reset`, `data` is the present state, and what
 * was told between the last push and this one is not replayed.
 */
export interface Push {
  topic: string;
  type: string;
  seq: number;
  data: unknown;
  changes: unknown;
  reset: boolean;
}

/**
 * Iterate (`for await`) to get what the topic tells; each push once, in order of `seq`.
 *
 * `initial` is the server's answer to the subscription, usually the present state. After a reconnect the server replays
 * what was missed, or tells the present state anew.
 */
export class Subscription implements AsyncIterable<Push> {
  initial: Push | undefined;
  dropped = 0;
  /** The number of the newest push that was taken. */
  seq: number | undefined;
  private pushes: Push[] = [];
  private ended: GreenroomError | undefined;
  private closed = false;
  private wake: () => void = () => undefined;

  constructor(
    readonly topic: string,
    after?: number,
  ) {
    this.seq = after;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Push> {
    for (;;) {
      const push = this.pushes.shift();
      if (push) {
        yield push;
      } else if (this.ended) {
        throw this.ended;
      } else if (this.closed) {
        return;
      } else {
        await new Promise<void>((resolve) => (this.wake = resolve));
      }
    }
  }

  /** Take the server's answer to the subscribe frame; the first one is `initial`, later ones are pushes. */
  answered(frame: Frame): void {
    const push = pushOf(this.topic, frame);
    if (isState(push) || this.seq === undefined) this.seq = push.seq;
    if (this.initial === undefined) this.initial = push;
    else if (isState(push)) this.keep(push);
  }

  /** Take a push, unless it was there before. */
  pushed(frame: Frame): void {
    const push = pushOf(this.topic, frame);
    if (isState(push) || push.seq === 0 || this.seq === undefined || push.seq > this.seq) {
      this.seq = push.seq || this.seq;
      this.keep(push);
    }
  }

  /** No more will come; readers get what is left, then the error or the end. */
  end(error?: GreenroomError): void {
    this.ended = error;
    this.closed = true;
    this.wake();
  }

  private keep(push: Push): void {
    if (this.pushes.length >= PUSHES_MAX) {
      this.pushes.shift();
      this.dropped += 1;
    }
    this.pushes.push(push);
    this.wake();
  }
}

function pushOf(topic: string, frame: Frame): Push {
  return {
    topic,
    type: frame.type ?? "",
    seq: frame.meta?.seq ?? 0,
    data: frame.data,
    changes: frame.changes,
    reset: frame.meta?.reset ?? false,
  };
}

function isState(push: Push): boolean {
  return push.reset || push.type.endsWith(".initial");
}
