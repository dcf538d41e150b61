/** What can go wrong between a client and a Greenroom server, as errors to act on. */

export interface ErrorDetails {
  status?: number;
  code?: string;
  requestId?: string;
  retryAfterS?: number | undefined;
  op?: string | undefined;
  cause?: unknown;
}

/** The server answered with an error; `code` is for machines, `message` for people. */
export class GreenroomError extends Error {
  readonly status: number;
  readonly code: string;
  readonly requestId: string;
  /** Seconds after which the same request may succeed. */
  readonly retryAfterS: number | undefined;
  /** The op id of what was asked: asked again under it, a command acts once and gets the same answer. */
  op: string | undefined;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.status = details.status ?? 0;
    this.code = details.code ?? "";
    this.requestId = details.requestId ?? "";
    this.retryAfterS = details.retryAfterS;
    this.op = details.op;
  }

  /** Whether the same request, under the same op id, may succeed a moment later. */
  get worthRepeating(): boolean {
    return this instanceof Unavailable || this instanceof ConnectionLost || this.code.toUpperCase() === "OP_IN_PROGRESS";
  }
}

/** 400, 413, 422: the request is not one that the server understands; do not repeat it. */
export class Invalid extends GreenroomError {}
/** 401: no token, or one that is wrong, expired or revoked. */
export class Unauthenticated extends GreenroomError {}
/** 403: banned, suspended, or not allowed. */
export class Forbidden extends GreenroomError {}
/** 404: no such route, player or thing. */
export class NotFound extends GreenroomError {}
/** 409: a rule of the game said no; `code` is the rule's fact, such as `guild_full`. */
export class Refused extends GreenroomError {}
/** 429: too much; wait `retryAfterS`. */
export class RateLimited extends GreenroomError {}
/** 503: overloaded, or something behind the gateway is down; repeat under the same op id. */
export class Unavailable extends GreenroomError {}
/** 500: report it with its `requestId`. */
export class ServerBug extends GreenroomError {}
/** No answer arrived: the outcome of what was asked is unknown, and the same op id finds it out. */
export class ConnectionLost extends GreenroomError {}
/** The answer did not arrive in the time given: the outcome is unknown too. */
export class DeadlinePassed extends ConnectionLost {}

/** The password was right; `Client.verifyMfa` with this token and a code completes the login. */
export class MfaRequired extends Unauthenticated {
  constructor(readonly mfaToken: string) {
    super("a second factor is needed", { status: 401, code: "mfa_required" });
  }
}

const BY_STATUS: Record<number, typeof GreenroomError> = {
  400: Invalid,
  401: Unauthenticated,
  403: Forbidden,
  404: NotFound,
  409: Refused,
  413: Invalid,
  422: Invalid,
  429: RateLimited,
  500: ServerBug,
  503: Unavailable,
};

/** The error for an error body, or for the `error` member of an error frame. */
export function errorFrom(status: number, body: unknown, details: ErrorDetails = {}): GreenroomError {
  const told = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  const kind = BY_STATUS[status] ?? (status >= 500 ? ServerBug : GreenroomError);
  const retryAfterS = details.retryAfterS ?? (typeof told["retryAfter"] === "number" ? told["retryAfter"] : undefined);
  return new kind(String(told["message"] ?? told["error"] ?? `the server answered ${status}`), {
    ...details,
    status,
    code: String(told["code"] ?? ""),
    requestId: String(told["requestId"] ?? ""),
    retryAfterS,
  });
}
