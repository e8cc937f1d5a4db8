// SPDX-License-Identifier: Apache-2.0
// The licence audit's `validate` in TypeScript: what was found against what the metadata declares, and the name of every
// difference. A port of examples/licence_audit/validate.py that gives the same answers.
import { type Handler, invalid, json, text } from "./handlers.js";
import { family, ids, normalised, sameText, satisfiedBy } from "./spdx.js";

type Declared = { expression?: string; licence?: string; classifiers?: string[] };
/** Each declared wording with the ids that would satisfy it. */
type Meant = [wording: string, options: Set<string>][];

export const handle: Handler = (task) => {
  const given = JSON.parse(text(task.input) ?? "null");
  if (typeof given?.found !== "string" || typeof given.declared !== "object") throw invalid("declared and found are wanted");
  return json(JSON.stringify(validate(given.declared, given.found)));
};

export function validate(declared: Declared, found: string) {
  const [said, source, meant] = declaration(declared);
  const shipped = new Map(ids(found).map((one) => [sameText(one), one]));
  let mismatches = said ? problems(meant, shipped) : ["the metadata declares no licence"];
  if (said && !meant.every(([, options]) => options.size))
    mismatches = [`${source} says ${quoted(said)}, which names no known licence`];
  const judged = declared.expression ? said : found;
  return { declared: said, source, agrees: !mismatches.length, judged, mismatch: mismatches.join("; "), method: "rules" };
}

function declaration({ expression, licence, classifiers = [] }: Declared): [string, string, Meant] {
  if (expression) {
    const said = normalised(expression) || expression;
    const meant: Meant = ids(said).map((one) => [one, satisfiedBy(one)]);
    return [said, "License-Expression", meant.length ? meant : [[said, new Set()]]];
  }
  const wordings = [licence, ...classifiers].filter((wording): wording is string => !!wording);
  const meant = wordings.map((wording): Meant[number] => [plain(wording), family(wording)]).filter(([, options]) => options.size);
  const source = licence ? "License" : wordings.length ? "Classifier" : "nowhere";
  if (meant.length) return [narrowed(meant), source, meant];
  const said = wordings.map(plain).join(", ");
  return [said, source, [[said, new Set()]]];
}

/** Every exact id; a vague wording only if no id is more exact. */
function narrowed(meant: Meant): string {
  const exact = [...new Set(meant.filter(([, options]) => options.size === 1).flatMap(([, options]) => [...options]))].sort();
  const vague = meant.filter(([, options]) => !exact.some((one) => options.has(one))).map(([wording]) => wording);
  return [...exact, ...new Set(vague)].join(" AND ");
}

const plain = (classifier: string) => classifier.replace(/^OSI Approved :: /, "");

function problems(meant: Meant, found: Map<string, string>): string[] {
  if (!found.size) return ["no shipped text was recognised as a licence"];
  const allowed = new Set(meant.flatMap(([, options]) => [...options].map(sameText)));
  const absent = meant.filter(([, options]) => ![...options].some((one) => found.has(sameText(one))));
  const missing = new Set(absent.map(([wording, options]) => (options.size === 1 ? [...options][0] : wording)));
  const extra = [...found].sort(([a], [b]) => (a < b ? -1 : 1)).filter(([text]) => !allowed.has(text)).map(([, one]) => one);
  const told = [];
  if (missing.size) told.push(`declared ${[...missing].join(", ")}, but no such text is shipped`);
  if (extra.length) told.push(`the files contain ${extra.join(", ")}, which the metadata does not declare`);
  return told;
}

/** As Python quotes a text. */
function quoted(words: string): string {
  const mark = words.includes("'") && !words.includes('"') ? '"' : "'";
  const escaped = words.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\r", "\\r").replaceAll("\t", "\\t");
  return mark + (mark === "'" ? escaped.replaceAll("'", "\\'") : escaped) + mark;
}
