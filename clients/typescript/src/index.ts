/** The Greenroom client: everything that a game needs, from one place. */

export { Backoff } from "./backoff.js";
export type { Commands, Gathers, Queries } from "./catalog.js";
export * from "./client.js";
export { Connection, type ConnectionOptions, type Reply, type Status } from "./connection.js";
export * from "./errors.js";
export type { Form } from "./frames.js";
export { newOp } from "./ids.js";
export { type Push, PUSHES_MAX, Subscription } from "./subscription.js";
export { type Tokens, type TransportOptions } from "./transport.js";
