/** A user of a Greenroom server over REST; `connect` opens the WebSocket. */

import type { Commands, Gathers, Queries } from "./catalog.js";
import { Connection, type ConnectionOptions, type Reply } from "./connection.js";
import { errorFrom, type GreenroomError, MfaRequired } from "./errors.js";
import { API, claim, part, type Tokens, Transport } from "./transport.js";

/** A number before and after; the rank is null when its board was late, while the score is safe either way. */
export interface Change {
  previous: number | null;
  current: number | null;
}

export interface Action {
  id: string;
  actionToken: string;
  expectedScore: number;
  expiresAt: string;
}

export interface Award {
  score: Change;
  rank: Change | null;
  warning?: unknown;
}

/** One award of a batch; its op id makes it count once, however often it is sent. */
export interface AwardOrder {
  op: string;
  userId: string;
  points: number;
  board?: string;
  reason?: string;
  attributes?: Record<string, string | number | boolean>;
  at?: string;
}

/** One line of a board. */
export interface Standing {
  rank: number;
  userId: string;
  username: string;
  score: number;
}

export interface Score {
  score: number;
  rank: number | null;
  version: number;
}

export interface Provisioned {
  externalId: string;
  userId: string;
  created: boolean;
}

interface OpOption {
  op?: string;
}

/** One user. Logging in keeps the tokens here and refreshes them in time. */
export class Client extends Transport {
  // Accounts and sessions

  /** Make an account and be logged in. */
  register(username: string, password: string, email?: string): Promise<Tokens> {
    return this.logIn("/auth/register", { username, password, ...(email === undefined ? {} : { email }) });
  }

  /** Log in by name, or by e-mail when it holds an @; throws `MfaRequired` when there is a second factor. */
  login(username: string, password: string): Promise<Tokens> {
    return this.logIn("/auth/login", { [username.includes("@") ? "email" : "username"]: username, password });
  }

  /** Complete a login that asked for a second factor. */
  verifyMfa(mfaToken: string, code: string): Promise<Tokens> {
    return this.logIn("/auth/mfa/verify", { mfaToken, code });
  }

  /** Play at once; the same device id comes back to the same player. */
  guest(deviceId: string): Promise<Tokens> {
    return this.logIn("/auth/guest", { deviceId });
  }

  /** Turn this guest into an account that keeps everything. */
  async upgrade(username: string, password: string): Promise<void> {
    const answer = (await this.post("/auth/upgrade", { username, password })) as Partial<Tokens>;
    if (answer.accessToken) this.tokens = answer as Tokens;
  }

  /** End this session everywhere, within a second. */
  async logout(): Promise<void> {
    await this.post("/auth/logout", {});
    this.tokens = undefined;
  }

  /** Who this is; empty before the login. */
  get userId(): string {
    return String(claim(this.tokens?.accessToken ?? "", "sub") ?? "");
  }

  private async logIn(path: string, body: unknown): Promise<Tokens> {
    const answer = (await this.request("POST", API + path, { body, anonymous: true })) as Tokens & {
      mfaRequired?: boolean;
      mfaToken: string;
    };
    if (answer.mfaRequired) throw new MfaRequired(answer.mfaToken);
    const { accessToken, refreshToken } = answer;
    this.tokens = { accessToken, ...(refreshToken === undefined ? {} : { refreshToken }) };
    return this.tokens;
  }

  // Players, score and boards

  /** The whole character sheet of oneself, the public part of others. */
  profile(userId = "me"): Promise<any> {
    return this.get(`/players/${part(userId)}`);
  }

  /** A player's score and rank on a board. */
  score(userId = "me", board = "main"): Promise<Score> {
    return this.get(`/players/${part(userId)}/score`, { board });
  }

  /** Start an action; completing it scores. */
  startAction(type: string, options: OpOption = {}): Promise<Action> {
    return this.post("/actions", { type }, options);
  }

  /** Complete a started action. */
  completeAction(action: Action, options: OpOption = {}): Promise<Award> {
    return this.post(`/actions/${part(action.id)}/complete`, { actionToken: action.actionToken }, options);
  }

  /** The first of a board. */
  top(board = "main", limit = 10): Promise<Standing[]> {
    return this.get("/leaderboard/top", { board, limit });
  }

  /** Those next to oneself on a board. */
  around(board = "main", window = 5): Promise<Standing[]> {
    return this.get("/leaderboard/around", { board, window });
  }

  /** Somebody's line of a board. */
  standing(userId = "me", board = "main"): Promise<Standing> {
    return this.get(userId === "me" ? "/leaderboard/me" : `/leaderboard/users/${part(userId)}`, { board });
  }

  // For a studio's own servers (role `server`)

  /** Make players, up to 500; those that exist are found again by their external ids. */
  async provision(players: Array<{ externalId: string; displayName: string }>): Promise<Provisioned[]> {
    const answer = await this.post<{ items: Provisioned[] }>("/players/provision", { items: players });
    return answer.items;
  }

  /** Give points, exactly once for each op id. */
  award(userId: string, points: number, options: Omit<AwardOrder, "op" | "userId" | "points"> & OpOption = {}): Promise<Award> {
    const { op, ...rest } = options;
    return this.post("/scores/award", { userId, points, ...rest }, op === undefined ? {} : { op });
  }

  /** Up to 500 awards, each once for its own op id; answers in the same order, refusals among them as values. */
  async awardBatch(orders: AwardOrder[]): Promise<Array<Award | GreenroomError>> {
    type Item = Award & { status: number; op?: string; error?: unknown };
    const answer = await this.post<{ items: Item[] }>("/scores/award-batch", { items: orders });
    return answer.items.map((item) => (item.error ? errorFrom(item.status, item.error, { op: item.op }) : item));
  }

  // Any actor

  /** Any public command; key `me` is the caller's own player. */
  command<K extends keyof Commands & string, N extends keyof Commands[K] & string>(
    kind: K,
    key: string,
    name: N,
    data: Commands[K][N],
    options: OpOption = {},
  ): Promise<Reply> {
    return this.post(`/actors/${part(kind)}/${part(key)}/${part(name)}`, data, options);
  }

  /** Any public query. */
  query<K extends keyof (Queries & Gathers) & string, N extends keyof (Queries & Gathers)[K] & string>(
    kind: K,
    key: string,
    name: N,
    params: (Queries & Gathers)[K][N],
  ): Promise<Reply> {
    return this.get(`/actors/${part(kind)}/${part(key)}/${part(name)}`, params as Record<string, string>);
  }

  /** The WebSocket as this user, opened. */
  connect(options: ConnectionOptions = {}): Promise<Connection> {
    return new Connection(this, options).open();
  }

  /** GET a path below the API's base. */
  async get<T>(path: string, params: Record<string, string | number | boolean | undefined> = {}): Promise<T> {
    return (await this.request("GET", API + path, { params })) as T;
  }

  /** POST to a path below the API's base, under one op id. */
  async post<T>(path: string, body: unknown, { op }: OpOption = {}): Promise<T> {
    return (await this.request("POST", API + path, { body, op })) as T;
  }
}
