/** Unpacks what the package brings, compressed, into the folder given; the archives among it are left as they are. */

import { createReadStream, createWriteStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";

const into = process.argv[2];
const entry = createRequire(import.meta.url).resolve("@sparticuz/chromium");
const packed = join(dirname(dirname(entry)), "bin");
for (const name of await readdir(packed)) {
  const target = join(into, basename(name, ".br"));
  await pipeline(createReadStream(join(packed, name)), createBrotliDecompress(), createWriteStream(target));
}
