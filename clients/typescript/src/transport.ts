/** HTTP to one Greenroom server: tokens kept fresh, requests repeated under one op id, errors typed. */

import { Backoff, pause } from "./backoff.js";
import { ConnectionLost, DeadlinePassed, errorFrom, GreenroomError, Unauthenticated } from "./errors.js";
import { newOp } from "./ids.js";

export const API = "/api/v1";
const REFRESH_BEFORE_EXPIRY_S = 30;

/** What proves who somebody is: a short-lived access token and a refresh token that is good for one use. */
export interface Tokens {
  accessToken: string;
  refreshToken?: string;
}

export interface TransportOptions {
  tokens?: Tokens;
  /** Told whenever the tokens change, so that a page can keep them and continue with them later. */
  onTokens?: (tokens: Tokens | undefined) => void;
  backoff?: Backoff;
  /** Seconds within which each call ends, repetitions included. */
  deadlineS?: number;
  /** The WebSocket class; needed on Node.js before 22 only. */
  WebSocket?: typeof WebSocket;
}

interface Request {
  body?: unknown;
  params?: Record<string, string | number | boolean | undefined>;
  op?: string | undefined;
  anonymous?: boolean;
}

/** Sends requests as one user. */
export class Transport {
  readonly url: string;
  readonly backoff: Backoff;
  readonly deadlineS: number;
  readonly WebSocket: typeof WebSocket;
  private readonly onTokens: (tokens: Tokens | undefined) => void;
  private held: Tokens | undefined;
  private refreshing: Promise<Tokens> | undefined;

  constructor(url: string, options: TransportOptions = {}) {
    this.url = url.replace(/\/+$/, "");
    this.held = options.tokens;
    this.onTokens = options.onTokens ?? (() => undefined);
    this.backoff = options.backoff ?? new Backoff();
    this.deadlineS = options.deadlineS ?? 30;
    this.WebSocket = options.WebSocket ?? globalThis.WebSocket;
  }

  get tokens(): Tokens | undefined {
    return this.held;
  }

  set tokens(tokens: Tokens | undefined) {
    this.held = tokens;
    this.onTokens(tokens);
  }

  /** A token that is good for a while yet; refreshes the pair, once for all who wait, when it is not. */
  async accessToken(): Promise<string> {
    const tokens = this.tokens;
    if (tokens === undefined) throw new Unauthenticated("log in first", { status: 401, code: "not_logged_in" });
    const expiresAtS = tokens.refreshToken ? claim(tokens.accessToken, "exp") : undefined;
    if (typeof expiresAtS === "number" && expiresAtS - Date.now() / 1000 < REFRESH_BEFORE_EXPIRY_S) {
      return (await this.refresh()).accessToken;
    }
    return tokens.accessToken;
  }

  /** Exchange the refresh token for a new pair; the old pair's refresh token is then used up. */
  refresh(): Promise<Tokens> {
    this.refreshing ??= this.refreshOnce().finally(() => (this.refreshing = undefined));
    return this.refreshing;
  }

  private async refreshOnce(): Promise<Tokens> {
    // Sent once only: a refresh token seen twice looks stolen, and the server would end the session.
    const body = { refreshToken: this.tokens?.refreshToken };
    this.tokens = (await this.send("POST", `${API}/auth/refresh`, {}, { body }, this.deadlineS)) as Tokens;
    return this.tokens;
  }

  /** The decoded answer; what may succeed later is repeated under the same op id until the deadline. */
  async request(method: string, path: string, request: Request = {}): Promise<unknown> {
    const op = method === "GET" ? undefined : (request.op ?? newOp());
    const until = Date.now() + this.deadlineS * 1000;
    for (let attempt = 0; ; attempt++) {
      try {
        const headers: Record<string, string> = op === undefined ? {} : { "Idempotency-Key": op };
        if (!request.anonymous) headers["Authorization"] = `Bearer ${await this.accessToken()}`;
        return await this.send(method, path, headers, request, (until - Date.now()) / 1000);
      } catch (error) {
        if (!(error instanceof GreenroomError)) throw error;
        error.op = op;
        const waitS = this.backoff.delayS(attempt, error.retryAfterS);
        const late = Date.now() + waitS * 1000 >= until;
        if (!error.worthRepeating || late || attempt >= this.backoff.attemptsMax) throw error;
        await pause(waitS);
      }
    }
  }

  private async send(
    method: string,
    path: string,
    headers: Record<string, string>,
    { body, params }: Request,
    withinS: number,
  ): Promise<unknown> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(params ?? {})) {
      if (value !== undefined) query.set(name, String(value));
    }
    const url = this.url + path + (query.size ? `?${query}` : "");
    const signal = AbortSignal.timeout(Math.max(1, withinS * 1000));
    let response: Response;
    let text: string;
    try {
      response = await fetch(url, {
        method,
        headers: body === undefined ? headers : { ...headers, "Content-Type": "application/json" },
        body: body === undefined ? null : JSON.stringify(body),
        redirect: "error",
        signal,
      });
      text = await response.text();
    } catch (cause) {
      if (signal.aborted) throw new DeadlinePassed(`no answer within ${this.deadlineS} s`, { cause });
      throw new ConnectionLost(`no answer from ${this.url}`, { cause });
    }
    const answer = decoded(text);
    if (response.ok) return answer;
    const retryAfterS = Number(response.headers.get("Retry-After") ?? Number.NaN);
    throw errorFrom(response.status, answer ?? { message: text.slice(0, 200) }, {
      retryAfterS: Number.isFinite(retryAfterS) ? retryAfterS : undefined,
    });
  }
}

/** One part of a path: whatever the text, it stays one part. */
export function part(text: string): string {
  return encodeURIComponent(text);
}

/** A claim of an access token, unverified (the server verifies); undefined when it is no JWT. */
export function claim(token: string, name: string): unknown {
  try {
    const payload = atob((token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/"));
    return (JSON.parse(payload) as Record<string, unknown>)[name];
  } catch {
    return undefined;
  }
}

function decoded(text: string): unknown {
  try {
    return text ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}
