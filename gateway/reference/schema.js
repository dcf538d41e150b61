/* JSON Schema in words: the fields of a message, what each may be, and an example of it. */

const DEPTH_MAX = 6;

/** What a schema says, through its references and with all its parts put together. */
export function resolve(whole, schema) {
  let found = schema;
  while (found.$ref) {
    const { $ref, ...own } = found;
    const target = $ref.slice(2).split("/").reduce((node, part) => node[part.replaceAll("~1", "/").replaceAll("~0", "~")], whole);
    found = { ...target, ...own };
  }
  if (!found.allOf) return found;
  return found.allOf.map((part) => resolve(whole, part)).reduce(
    (all, part) => ({
      ...all,
      ...part,
      properties: merged(all.properties, part.properties),
      required: [...(all.required ?? []), ...(part.required ?? [])],
    }),
    {},
  );
}

/** A later part says more of a field than an earlier one: what it has takes the place of what was there. */
function merged(before = {}, after = {}) {
  const all = { ...before };
  for (const [name, schema] of Object.entries(after)) all[name] = schema;
  return all;
}

/** Null may stand for many a field; what else it can be. */
function besidesNull(whole, schema) {
  const alternatives = (schema.anyOf ?? schema.oneOf ?? []).map((one) => resolve(whole, one));
  return alternatives.filter((one) => one.type !== "null");
}

/** All fields, those of fields too: `{path, schema, required}`. */
export function fieldsOf(whole, schema, before = "", depth = 0) {
  const { properties = {}, required = [] } = resolve(whole, schema);
  return Object.entries(properties).flatMap(([name, field]) => {
    const path = before + name;
    return [{ path, schema: field, required: required.includes(name) }, ...inner(whole, field, path, depth)];
  });
}

function inner(whole, field, path, depth) {
  if (depth === DEPTH_MAX) return [];
  const found = resolve(whole, field);
  if (found.properties) return fieldsOf(whole, found, `${path}.`, depth + 1);
  if (found.items) return inner(whole, found.items, `${path}[]`, depth + 1);
  const [only, ...others] = besidesNull(whole, found);
  return only && others.length === 0 ? inner(whole, only, path, depth + 1) : [];
}

/** The type of a field, and its bounds. */
export function describe(whole, schema) {
  const found = resolve(whole, schema);
  const alternatives = besidesNull(whole, found);
  const [only, ...others] = alternatives;
  const bounds = only && others.length === 0 ? { ...only, ...found } : found;
  const told = [
    range(bounds.minLength, bounds.maxLength, "characters"),
    range(bounds.minItems, bounds.maxItems, "entries"),
    range(bounds.minProperties, bounds.maxProperties, "entries"),
    range(bounds.minimum, bounds.maximum, ""),
    found.default !== undefined && found.default !== null && `By default ${JSON.stringify(found.default)}.`,
  ];
  return { type: typeOf(whole, found), limits: told.filter(Boolean).join(" ") };
}

function range(least, most, of) {
  const end = of ? ` ${of}.` : ".";
  if (least !== undefined && most !== undefined) return least === most ? `${least}${end}` : `${amount(least)} to ${amount(most)}${end}`;
  if (most !== undefined) return `At most ${amount(most)}${end}`;
  return least === undefined ? "" : `At least ${amount(least)}${end}`;
}

function amount(value) {
  if (value === Number.MAX_SAFE_INTEGER) return "2^53 - 1";
  return value === -Number.MAX_SAFE_INTEGER ? "-(2^53 - 1)" : String(value);
}

function typeOf(whole, found) {
  if (found.const !== undefined) return JSON.stringify(found.const);
  if (found.enum) return found.enum.map((value) => JSON.stringify(value)).join(" or ");
  const alternatives = (found.anyOf ?? found.oneOf)?.map((one) => typeOf(whole, resolve(whole, one)));
  if (alternatives) return [...new Set(alternatives)].join(" or ");
  if (found.type === "array") return `list of ${found.items ? typeOf(whole, resolve(whole, found.items)) : "anything"}`;
  const values = found.additionalProperties;
  if (found.type === "object" && typeof values === "object") return `map of ${typeOf(whole, resolve(whole, values))}`;
  return [found.type ?? "anything"].flat().join(" or ");
}

/** What a message with its required fields looks like. */
export function example(whole, schema, depth = 0) {
  const found = resolve(whole, schema);
  if (found.const !== undefined) return found.const;
  if (found.enum) return found.enum[0];
  if (found.default !== undefined && depth > 0 && !found.properties) return found.default;
  const [first] = besidesNull(whole, found);
  if (first) return example(whole, first, depth);
  if (found.type === "array") return found.minItems ? [example(whole, found.items ?? {}, depth + 1)] : [];
  if (found.properties && depth < DEPTH_MAX) {
    const wanted = Object.entries(found.properties).filter(([name]) => found.required?.includes(name) || name === "data");
    return Object.fromEntries(wanted.map(([name, field]) => [name, example(whole, field, depth + 1)]));
  }
  return { string: "...", integer: found.minimum > 0 ? found.minimum : 0, number: 0, boolean: true, object: {} }[found.type] ?? null;
}
