/** Writes the client as one module for browsers, with all that it needs: `node bundle.mjs [TARGET]`. */

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const read = (path) => readFile(here(path), "utf8");
const own = JSON.parse(await read("package.json"));
const msgpack = JSON.parse(await read("node_modules/@msgpack/msgpack/package.json"));
const license = (await read("node_modules/@msgpack/msgpack/LICENSE")).trim();

await build({
  entryPoints: [here("src/index.ts")],
  outfile: process.argv[2] ?? here("../../examples/play/greenroom-client.js"),
  absWorkingDir: here("."),
  bundle: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  banner: {
    js: `/*
Made by \`npm run bundle\` in clients/typescript: do not edit.
${own.name} ${own.version}, ${own.license}. It contains ${msgpack.name} ${msgpack.version}, ${msgpack.license}:

${license}
*/`,
  },
});
