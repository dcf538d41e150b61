/** A WebSocket that outlives its sockets: many questions outstanding, topics resumed, nothing asked twice. */

import { Backoff, pause } from "./backoff.js";
import type { Commands, Gathers, Queries } from "./catalog.js";
import {
  ConnectionLost,
  DeadlinePassed,
  errorFrom,
  Forbidden,
  GreenroomError,
  Invalid,
  RateLimited,
  Unauthenticated,
} from "./errors.js";
import { type Form, type Frame, pack, type Packed, unpack } from "./frames.js";
import { newOp } from "./ids.js";
import { Subscription } from "./subscription.js";
import { API, claim, type Transport } from "./transport.js";

const REAUTH_BEFORE_EXPIRY_S = 25;
const SETTLED_AFTER_S = 5;
const SILENT_S_MAX = 75;

/** After these the same attempt would end the same way; after any other code a new socket may do better. */
const FATAL_CLOSES: Record<number, [typeof GreenroomError, string]> = {
  1002: [Invalid, "protocol_violated"],
  1003: [Invalid, "frame_not_supported"],
  1007: [Invalid, "frame_not_decodable"],
  1008: [Unauthenticated, "token_not_accepted"],
  1009: [Invalid, "frame_too_large"],
  4403: [Forbidden, "banned"],
  4429: [RateLimited, "too_many_connections"],
};

export interface ConnectionOptions {
  form?: Form;
  /** Seconds within which each call ends. */
  deadlineS?: number;
  /** Calls that may wait for their answers at once; the server admits 64. */
  outstandingMax?: number;
  backoff?: Backoff;
  /** Told when the connection is open, when it is lost for now, and when it has ended for good. */
  onStatus?: (status: Status, error?: GreenroomError) => void;
}

/** `lost` comes back by itself; after `ended` nothing more is heard. */
export type Status = "open" | "lost" | "ended";

/** The answer to a command or a query of an actor. */
export interface Reply {
  data: any;
  version: number | undefined;
}

export interface AskOptions {
  deadlineS?: number;
}

interface Question {
  packed: Packed;
  subscription: Subscription | undefined;
  answer: (frame: Frame) => void;
  fail: (error: GreenroomError) => void;
}

/**
 * Commands, queries and topics of one user.
 *
 * When the socket breaks it comes back with full jitter, subscribes anew after the last push it saw, and sends what was
 * not answered again under the same op ids, in the same order. Each call ends by its deadline at the latest.
 */
export class Connection {
  /** What the server said when it last let this user in. */
  welcome: Record<string, any> = {};
  reconnects = 0;
  readonly form: Form;
  readonly deadlineS: number;
  private readonly backoff: Backoff;
  private readonly outstandingMax: number;
  private readonly onStatus: (status: Status, error?: GreenroomError) => void;
  private readonly questions = new Map<string, Question>();
  private readonly subscriptions = new Map<string, Subscription>();
  private readonly waiting: Array<() => void> = [];
  private outstanding = 0;
  private ids = 0;
  private socket: WebSocket | undefined;
  private opened = false;
  private ready = false;
  private ended: GreenroomError | undefined;
  private lastWords: GreenroomError | undefined;
  private reconnectHintS: number | undefined;
  private reauthentication: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly transport: Transport,
    options: ConnectionOptions = {},
  ) {
    this.form = options.form ?? "json";
    this.deadlineS = options.deadlineS ?? 10;
    this.outstandingMax = options.outstandingMax ?? 64;
    this.backoff = options.backoff ?? new Backoff();
    this.onStatus = options.onStatus ?? (() => undefined);
  }

  /** Connect and authenticate; tries until the deadline, unless the server says no. */
  async open(): Promise<this> {
    const opened = new Promise<void>((resolve, reject) => void this.live(resolve, reject));
    const message = `no welcome from ${this.transport.url} within ${this.deadlineS} s`;
    try {
      await within(this.deadlineS, opened, () => new DeadlinePassed(message));
    } catch (error) {
      this.close();
      throw error;
    }
    return this;
  }

  /** Close the socket; what is outstanding fails with `ConnectionLost`. */
  close(): void {
    if (!this.ended) this.end(new ConnectionLost("the connection was closed"), true);
    this.socket?.close(1000);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Ask an actor to do something, once for each op id; key `me` is the caller's own player. */
  async command<K extends keyof Commands & string, N extends keyof Commands[K] & string>(
    kind: K,
    key: string,
    name: N,
    data: Commands[K][N],
    options: AskOptions & { op?: string } = {},
  ): Promise<Reply> {
    const frame = { type: "command", op: options.op ?? newOp(), kind, key, name, data };
    return reply(await this.ask(frame, options.deadlineS));
  }

  /** Ask an actor something. */
  async query<K extends keyof (Queries & Gathers) & string, N extends keyof (Queries & Gathers)[K] & string>(
    kind: K,
    key: string,
    name: N,
    data: (Queries & Gathers)[K][N],
    options: AskOptions = {},
  ): Promise<Reply> {
    return reply(await this.ask({ type: "query", kind, key, name, data }, options.deadlineS));
  }

  /** Listen to a topic, from now on or from what came after push number `after`. */
  async subscribe(topic: string, after?: number): Promise<Subscription> {
    if (this.subscriptions.has(topic)) throw new TypeError(`already subscribed to ${topic}`);
    const subscription = new Subscription(topic, after);
    this.subscriptions.set(topic, subscription);
    try {
      await this.ask(subscribeFrame(subscription), undefined, subscription);
    } catch (error) {
      this.subscriptions.delete(topic);
      throw error;
    }
    return subscription;
  }

  /** Stop listening; readers get what has arrived, then the end. */
  unsubscribe(subscription: Subscription): void {
    if (this.subscriptions.delete(subscription.topic)) {
      this.post({ type: "unsubscribe", id: this.nextId(), topic: subscription.topic });
    }
    subscription.end();
  }

  private nextId(): string {
    return String(++this.ids);
  }

  private async ask(
    frame: Record<string, unknown>,
    deadlineS = this.deadlineS,
    subscription?: Subscription,
  ): Promise<Frame> {
    const op = frame["op"] as string | undefined;
    const until = Date.now() + deadlineS * 1000;
    const late = () => new DeadlinePassed(`no answer within ${deadlineS} s`, { op });
    await this.place(until, late);
    try {
      for (let attempt = 0; ; attempt++) {
        try {
          return await this.askOnce(frame, (until - Date.now()) / 1000, late, subscription);
        } catch (error) {
          if (!(error instanceof GreenroomError)) throw error;
          error.op = op;
          const waitS = this.backoff.delayS(attempt, error.retryAfterS);
          const over = error instanceof DeadlinePassed || Date.now() + waitS * 1000 >= until;
          if (!error.worthRepeating || over || this.ended) throw error;
          await pause(waitS);
        }
      }
    } finally {
      this.outstanding -= 1;
      this.waiting.shift()?.();
    }
  }

  private async place(until: number, late: () => GreenroomError): Promise<void> {
    while (this.outstanding >= this.outstandingMax) {
      let leave = () => {};
      const free = new Promise<void>((resolve) => {
        leave = resolve;
        this.waiting.push(resolve);
      });
      try {
        await within((until - Date.now()) / 1000, free, late);
      } catch (error) {
        const index = this.waiting.indexOf(leave);
        if (index >= 0) this.waiting.splice(index, 1);
        else this.waiting.shift()?.();
        throw error;
      }
    }
    this.outstanding += 1;
  }

  private async askOnce(
    frame: Record<string, unknown>,
    withinS: number,
    late: () => GreenroomError,
    subscription?: Subscription,
  ): Promise<Frame> {
    if (this.ended) throw this.ended;
    const id = this.nextId();
    const packed = pack(this.form, { ...frame, id });
    const answered = new Promise<Frame>((resolve, reject) => {
      this.questions.set(id, { packed, subscription, answer: resolve, fail: reject });
    });
    if (this.ready) this.socket?.send(packed);
    try {
      return answerOf(await within(withinS, answered, late));
    } finally {
      this.questions.delete(id);
    }
  }

  private post(frame: Record<string, unknown>): void {
    if (this.ready) this.socket?.send(pack(this.form, frame));
  }

  // The life of the connection, socket after socket

  private async live(opened: () => void, refused: (error: unknown) => void): Promise<void> {
    for (let attempt = 0; !this.ended; ) {
      const began = Date.now();
      try {
        await this.liveThroughOneSocket(opened);
      } catch (error) {
        const told = error instanceof GreenroomError ? error : new ConnectionLost("the socket failed", { cause: error });
        const passing = told.worthRepeating || (told.status === 429 && told.code !== "too_many_connections");
        if (!passing) this.end(told);
      }
      if (this.ended) break;
      attempt = Date.now() - began > SETTLED_AFTER_S * 1000 ? 0 : attempt + 1;
      await pause(this.backoff.delayS(attempt, this.reconnectHintS));
      this.reconnectHintS = undefined;
    }
    refused(this.ended);
  }

  private async liveThroughOneSocket(opened: () => void): Promise<void> {
    const token = await this.transport.accessToken();
    if (this.ended) return;
    const socket = new this.transport.WebSocket(`${this.transport.url.replace(/^http/, "ws")}${API}/ws`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    let silence: ReturnType<typeof setTimeout> | undefined;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => socket.close(), SILENT_S_MAX * 1000);
    };
    const closed = new Promise<number>((resolve) => (socket.onclose = (event) => resolve(event.code)));
    socket.onerror = () => undefined;
    socket.onopen = () => socket.send(pack(this.form, { type: "auth", id: "0", auth: `Bearer ${token}` }));
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      heard();
      try {
        const frame = unpack(event.data);
        if (this.ready) this.route(frame);
        else if (this.welcomed(frame)) this.begin(socket, opened);
      } catch (cause) {
        if (cause instanceof GreenroomError) this.lastWords = cause;
        else this.end(new Invalid("the server sent what is no frame", { code: "frame_not_decodable", cause }));
        socket.close();
      }
    };
    heard();
    const code = await closed;
    clearTimeout(silence);
    clearTimeout(this.reauthentication);
    if (this.ready && !this.ended) this.onStatus("lost");
    this.ready = false;
    // The next socket resumes topics by itself, from where they are then.
    for (const question of this.questions.values()) {
      if (question.subscription?.initial) question.fail(new ConnectionLost("the socket closed"));
    }
    const words = this.lastWords;
    this.lastWords = undefined;
    const fatal = FATAL_CLOSES[code];
    if (fatal) this.end(words ?? new fatal[0](`the server closed the connection: ${code}`, { code: fatal[1] }));
    else if (words) throw words;
  }

  private welcomed(frame: Frame): boolean {
    if (frame.type !== "error" && frame.meta?.id !== "0") return false;
    this.welcome = (answerOf(frame).data ?? {}) as Record<string, any>;
    return true;
  }

  private begin(socket: WebSocket, opened: () => void): void {
    if (this.opened) this.reconnects += 1;
    this.opened = true;
    this.ready = true;
    this.stayAuthenticated();
    // Whatever has no answer yet goes first, in the order in which it was asked.
    for (const question of this.questions.values()) socket.send(question.packed);
    for (const subscription of this.subscriptions.values()) {
      if (subscription.initial !== undefined) void this.resume(subscription, socket);
    }
    opened();
    this.onStatus("open");
  }

  private stayAuthenticated(): void {
    const expiresAtS = claim(this.transport.tokens?.accessToken ?? "", "exp");
    if (typeof expiresAtS !== "number" || !this.transport.tokens?.refreshToken) return;
    const inS = Math.max(1, expiresAtS - Date.now() / 1000 - REAUTH_BEFORE_EXPIRY_S);
    clearTimeout(this.reauthentication);
    this.reauthentication = setTimeout(() => void this.reauthenticate(), Math.min(inS * 1000, 2 ** 31 - 1));
  }

  private async reauthenticate(): Promise<void> {
    try {
      const token = await this.transport.accessToken();
      await this.ask({ type: "auth", auth: `Bearer ${token}` });
      this.stayAuthenticated();
    } catch {
      // The server closes the socket at the expiry, and the next one tells what is wrong.
    }
  }

  private async resume(subscription: Subscription, socket: WebSocket): Promise<void> {
    const late = () => new DeadlinePassed(`no answer within ${this.deadlineS} s`);
    for (let attempt = 0; this.ready && this.socket === socket; attempt++) {
      try {
        await this.askOnce(subscribeFrame(subscription), this.deadlineS, late, subscription);
        return;
      } catch (error) {
        if (!(error instanceof GreenroomError) || !this.ready || this.socket !== socket) return;
        if (error instanceof ConnectionLost) {
          socket.close();
        } else if (error.worthRepeating) {
          await pause(this.backoff.delayS(attempt, error.retryAfterS));
        } else {
          this.subscriptions.delete(subscription.topic);
          subscription.end(error);
          return;
        }
      }
    }
  }

  private route(frame: Frame): void {
    const meta = frame.meta ?? {};
    const question = meta.id === undefined ? undefined : this.questions.get(String(meta.id));
    const subscription = meta.topic === undefined ? undefined : this.subscriptions.get(meta.topic);
    if (question) {
      if (frame.type !== "error") question.subscription?.answered(frame);
      question.answer(frame);
    } else if (frame.type === "ping") {
      this.post({ type: "pong", timestamp: frame.timestamp });
    } else if (frame.type === "disconnect") {
      this.reconnectHintS = hintS(frame);
    } else if (subscription && frame.type === "error") {
      this.subscriptions.delete(subscription.topic);
      subscription.end(errorOf(frame));
    } else if (subscription) {
      subscription.pushed(frame);
    } else if (frame.type === "error") {
      this.lastWords = errorOf(frame);
    }
  }

  private end(error: GreenroomError, gracefully = false): void {
    this.ended = error;
    clearTimeout(this.reauthentication);
    for (const question of this.questions.values()) question.fail(error);
    for (const subscription of this.subscriptions.values()) subscription.end(gracefully ? undefined : error);
    this.subscriptions.clear();
    this.onStatus("ended", gracefully ? undefined : error);
  }
}

function subscribeFrame(subscription: Subscription): Record<string, unknown> {
  const { topic, seq } = subscription;
  return { type: "subscribe", topic, ...(seq === undefined ? {} : { after: seq }) };
}

function errorOf(frame: Frame): GreenroomError {
  return errorFrom(frame.meta?.code ?? 500, frame.error);
}

function answerOf(frame: Frame): Frame {
  if (frame.type === "error") throw errorOf(frame);
  return frame;
}

function reply(frame: Frame): Reply {
  return { data: frame.data, version: frame.meta?.version };
}

function hintS(frame: Frame): number | undefined {
  const data = (frame.data ?? {}) as Record<string, unknown>;
  return typeof data["reconnectAfterS"] === "number" ? data["reconnectAfterS"] : undefined;
}

async function within<T>(seconds: number, answer: Promise<T>, late: () => GreenroomError): Promise<T> {
  if (seconds <= 0) {
    answer.catch(() => undefined); // nobody waits for it any more
    throw late();
  }
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), seconds * 1000);
  });
  try {
    return await Promise.race([answer, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
