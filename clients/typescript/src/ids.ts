/** Names that the client gives: op ids for its requests. */

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** A fresh op id: a ULID, so that ids made later sort later. */
export function newOp(): string {
  let time = Date.now();
  let text = "";
  for (let place = 0; place < 10; place++) {
    text = CROCKFORD[time % 32]! + text;
    time = Math.floor(time / 32);
  }
  for (const byte of crypto.getRandomValues(new Uint8Array(16))) text += CROCKFORD[byte & 31]!;
  return text;
}
