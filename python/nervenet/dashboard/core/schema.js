// SPDX-License-Identifier: Apache-2.0
// A form from a JSON Schema. `fieldOf` makes a tree of fields; a draft is what a person has typed so far, and `jsonOf` writes it
// as JSON. Numbers stay the text that was typed, so no digit is lost. What has no field of its own is typed as JSON.

const DEEPEST = 6;

/** {kind, title, description, isRequired, …} of the schema's text. Kinds: text, number, integer, boolean, enum, object, array, json. */
export function fieldOf(schemaText) {
  try {
    const schema = JSON.parse(schemaText || "{}");
    return field(schema, schema, true, 0);
  } catch {
    return { kind: "json", title: "", isRequired: true };
  }
}

function field(schema, root, isRequired, depth) {
  const found = resolved(schema, root, depth);
  if (typeof found !== "object" || found === null || depth > DEEPEST) return { kind: "json", title: "", isRequired };
  const isNullable = [found.type].flat().includes("null") || alternatives(found).some((each) => each?.type === "null");
  const common = {
    title: schema.title ?? found.title ?? "",
    description: schema.description ?? found.description ?? "",
    initial: schema.default ?? found.default,
    isRequired: isRequired && !isNullable,
  };
  return { ...common, ...typed(found, root, depth) };
}

function typed(schema, root, depth) {
  if (schema.const !== undefined) return { kind: "enum", options: [schema.const] };
  if (Array.isArray(schema.enum)) return { kind: "enum", options: schema.enum };
  const others = alternatives(schema).filter((each) => each?.type !== "null");
  if (others.length === 1) return typed(resolved(others[0], root, depth), root, depth + 1);
  if (others.length > 1) return { kind: "json" };
  const type = [schema.type].flat().filter((each) => each !== "null");
  if (type.length !== 1) return { kind: "json" };
  if (type[0] === "string") return { kind: "text", isLong: (schema.maxLength ?? 0) > 200, format: schema.format };
  if (type[0] === "number" || type[0] === "integer" || type[0] === "boolean") return { kind: type[0] };
  if (type[0] === "array" && schema.items && !schema.prefixItems) return { kind: "array", item: field(schema.items, root, true, depth + 1) };
  if (type[0] === "object" && schema.properties) return { kind: "object", fields: fieldsOf(schema, root, depth) };
  return { kind: "json" };
}

function fieldsOf(schema, root, depth) {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties).map(([name, each]) => ({ name, ...field(each, root, required.has(name), depth + 1) }));
}

const alternatives = (schema) => schema.anyOf ?? schema.oneOf ?? [];

/** The schema that `$ref` names, in the same document. */
function resolved(schema, root, depth) {
  let found = schema;
  for (let i = 0; found?.$ref && i <= DEEPEST; i++) {
    found = found.$ref
      .replace(/^#\/?/, "")
      .split("/")
      .filter(Boolean)
      .reduce((at, part) => at?.[part.replaceAll("~1", "/").replaceAll("~0", "~")], root);
  }
  return found ?? (depth ? {} : schema);
}

/** What the fields show at first: `value` where it fits, else the schema's defaults. */
export function draftOf(field, value = field.initial) {
  switch (field.kind) {
    case "object":
      return Object.fromEntries(field.fields.map((each) => [each.name, draftOf(each, value?.[each.name] ?? each.initial)]));
    case "array":
      return Array.isArray(value) ? value.map((each) => draftOf(field.item, each)) : [];
    case "enum": {
      const at = field.options.findIndex((option) => JSON.stringify(option) === JSON.stringify(value));
      return at < 0 && field.isRequired && field.options.length === 1 ? 0 : at;
    }
    case "boolean":
      return value ?? (field.isRequired ? false : null);
    case "json":
      return value === undefined ? "" : JSON.stringify(value, null, 2);
    default:
      return value === undefined || value === null ? "" : String(value);
  }
}

/** {json, problems}: the draft as JSON text ("" = left out), and what is wrong: [{path, words}]. */
export function jsonOf(field, draft, path = "") {
  const problem = (words) => ({ json: "", problems: [{ path, words }] });
  const fine = (json) => ({ json, problems: [] });
  const missing = () => (field.isRequired ? problem("is required") : fine(""));
  switch (field.kind) {
    case "object":
      return joined(field.fields.map((each) => [each.name, jsonOf(each, draft[each.name], path ? `${path}.${each.name}` : each.name)]), field);
    case "array": {
      const items = draft.map((each, at) => jsonOf(field.item, each, `${path}[${at}]`));
      if (!items.length && !field.isRequired) return fine("");
      return { json: `[${items.map((each) => each.json || "null").join(",")}]`, problems: items.flatMap((each) => each.problems) };
    }
    case "enum":
      return draft < 0 ? missing() : fine(JSON.stringify(field.options[draft]));
    case "boolean":
      return draft === null ? missing() : fine(String(draft));
    case "text":
      return draft === "" && !field.isRequired ? fine("") : fine(JSON.stringify(draft));
    case "json":
      return draft.trim() ? (isJson(draft) ? fine(draft) : problem("is not JSON")) : missing();
    default:
      if (!draft.trim()) return missing();
      return isNumber(draft.trim(), field.kind) ? fine(draft.trim()) : problem(`is not ${field.kind === "integer" ? "a whole number" : "a number"}`);
  }
}

function joined(entries, field) {
  const said = entries.filter(([, found]) => found.json);
  const problems = entries.flatMap(([, found]) => found.problems);
  if (!said.length && !field.isRequired) return { json: "", problems: [] };
  return { json: `{${said.map(([name, found]) => `${JSON.stringify(name)}:${found.json}`).join(",")}}`, problems };
}

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const isNumber = (text, kind) =>
  (kind === "integer" ? /^-?(0|[1-9]\d*)$/ : /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/).test(text);
