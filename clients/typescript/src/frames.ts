/** The two forms of a frame on the wire: JSON in text, msgpack in binary. */

import { decode, encode } from "@msgpack/msgpack";

/** How a connection writes its frames; the server answers likewise. */
export type Form = "json" | "msgpack";

export interface Meta {
  code?: number;
  id?: string | number;
  topic?: string;
  seq?: number;
  version?: number;
  reset?: boolean;
}

/** What the server sends. */
export interface Frame {
  meta?: Meta;
  type?: string;
  data?: unknown;
  changes?: unknown;
  error?: Record<string, unknown>;
  timestamp?: string;
}

export type Packed = string | Uint8Array<ArrayBuffer>;

/** One frame as it goes over the wire. */
export function pack(form: Form, frame: Record<string, unknown>): Packed {
  if (form === "json") return JSON.stringify(frame);
  const packed = encode(frame, { ignoreUndefined: true });
  return new Uint8Array(packed);
}

/** The frame in a message, in whichever form the server chose; throws when it is none. */
export function unpack(message: string | ArrayBuffer): Frame {
  const frame: unknown = typeof message === "string" ? JSON.parse(message) : decode(new Uint8Array(message));
  if (typeof frame !== "object" || frame === null || Array.isArray(frame)) throw new TypeError("a frame is a map");
  return frame as Frame;
}
