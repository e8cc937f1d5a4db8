// SPDX-License-Identifier: Apache-2.0
// Licence expressions and families, with the lists of ids and exceptions that npm carries.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const known = (...lists: string[][]) => new Map(lists.flat().map((id) => [id.toLowerCase(), id]));
const licences = known(require("spdx-license-ids/deprecated.json"), require("spdx-license-ids/index.json"));
const exceptions = known(require("spdx-exceptions"));

type Tree = { id: string; exception?: string } | { operator: "AND" | "OR"; parts: Tree[] };

/** What the wordings of classifiers and of the free `License` field leave open: each the ids that would satisfy it. */
const families: Record<string, string> = {
  "academic free license (afl)": "AFL-3.0 AFL-2.1",
  "apache": "Apache-2.0",
  "apache license": "Apache-2.0",
  "apache license 2.0": "Apache-2.0",
  "apache license, version 2.0": "Apache-2.0",
  "apache software license": "Apache-2.0",
  "apache software license 2.0": "Apache-2.0",
  "artistic license": "Artistic-1.0 Artistic-2.0",
  "boost software license 1.0 (bsl-1.0)": "BSL-1.0",
  "bsd": "BSD-2-Clause BSD-3-Clause BSD-4-Clause 0BSD",
  "bsd license": "BSD-2-Clause BSD-3-Clause BSD-4-Clause 0BSD",
  "bsd 2-clause": "BSD-2-Clause",
  "bsd 2-clause license": "BSD-2-Clause",
  "bsd 3-clause": "BSD-3-Clause",
  "bsd 3-clause license": "BSD-3-Clause",
  "2-clause bsd license": "BSD-2-Clause",
  "3-clause bsd license": "BSD-3-Clause",
  "new bsd license": "BSD-3-Clause",
  "simplified bsd license": "BSD-2-Clause",
  "cc0 1.0 universal (cc0 1.0) public domain dedication": "CC0-1.0",
  "eclipse public license 2.0 (epl-2.0)": "EPL-2.0",
  "gnu affero general public license v3": "AGPL-3.0",
  "gnu affero general public license v3 or later (agplv3+)": "AGPL-3.0",
  "gnu general public license (gpl)": "GPL-1.0 GPL-2.0 GPL-3.0",
  "gnu general public license v2 (gplv2)": "GPL-2.0",
  "gnu general public license v2 or later (gplv2+)": "GPL-2.0 GPL-3.0",
  "gnu general public license v3 (gplv3)": "GPL-3.0",
  "gnu general public license v3 or later (gplv3+)": "GPL-3.0",
  "gnu lesser general public license v2 or later (lgplv2+)": "LGPL-2.0 LGPL-2.1 LGPL-3.0",
  "gnu lesser general public license v3 (lgplv3)": "LGPL-3.0",
  "gnu lesser general public license v3 or later (lgplv3+)": "LGPL-3.0",
  "gnu library or lesser general public license (lgpl)": "LGPL-2.0 LGPL-2.1 LGPL-3.0",
  "historical permission notice and disclaimer (hpnd)": "HPND",
  "isc license": "ISC",
  "isc license (iscl)": "ISC",
  "mit license": "MIT",
  "the mit license": "MIT",
  "the mit license (mit)": "MIT",
  "mit no attribution license (mit-0)": "MIT-0",
  "mozilla public license 1.1 (mpl 1.1)": "MPL-1.1",
  "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
  "mpl 2.0": "MPL-2.0",
  "psf": "PSF-2.0 Python-2.0 Python-2.0.1",
  "python software foundation license": "PSF-2.0 Python-2.0 Python-2.0.1",
  "the unlicense (unlicense)": "Unlicense",
  "universal permissive license (upl)": "UPL-1.0",
  "zero-clause bsd (0bsd)": "0BSD",
  "zlib/libpng license": "Zlib",
  "zope public license": "ZPL-2.0 ZPL-2.1",
};

/** The ids that a classifier or a free wording can mean; empty when nobody can say. */
export function family(wording: string): Set<string> {
  const named = families[wording.replace(/^OSI Approved :: /, "").trim().toLowerCase()];
  return new Set(named ? named.split(" ") : ids(wording));
}

/** The expression in SPDX's own spelling; empty when it is none. */
export function normalised(expression: string): string {
  const tree = parsed(expression);
  return tree ? spelled(tree) : "";
}

/** The licences that an expression names, in its order, each once, without exceptions. */
export function ids(expression: string): string[] {
  const tree = parsed(expression);
  return tree ? [...new Set(leaves(tree))] : [];
}

/** Ids that differ only in what they permit of later versions share one licence text. */
export const sameText = (id: string): string => id.replace(/(-only|-or-later|\+)$/, "");

/** The ids whose texts contain that licence: Python's own licence begins with the one of the PSF. */
export const satisfiedBy = (id: string): Set<string> => new Set(id === "PSF-2.0" ? [id, "Python-2.0", "Python-2.0.1"] : [id]);

const leaves = (tree: Tree): string[] => ("id" in tree ? [tree.id] : tree.parts.flatMap(leaves));

function spelled(tree: Tree): string {
  if ("id" in tree) return tree.exception ? `${tree.id} WITH ${tree.exception}` : tree.id;
  return tree.parts.map((part) => ("id" in part ? spelled(part) : `(${spelled(part)})`)).join(` ${tree.operator} `);
}

/** `GPL-2.0` and `GPL-2.0+` have had other names since SPDX 3. */
function current(word: string): string | undefined {
  const id = licences.get(word.toLowerCase()) ?? licences.get(word.toLowerCase().replace(/\+$/, ""));
  if (/^([AL]?GPL|GFDL)-[\d.]+\+?$/.test(id ?? "")) return id!.replace("+", "") + (word.endsWith("+") ? "-or-later" : "-only");
  return word.endsWith("+") ? licences.get(word.toLowerCase()) : id;
}

function parsed(expression: string): Tree | undefined {
  const words = expression.match(/[()]|[^\s()]+/g) ?? [];
  const next = (word: string) => words[0]?.toUpperCase() === word && words.shift();
  const joined = (operator: "AND" | "OR", below: () => Tree): Tree => {
    const parts = [below()];
    while (next(operator)) parts.push(below());
    return parts.length === 1 ? parts[0] : { operator, parts };
  };
  const either = (): Tree => joined("OR", () => joined("AND", one));
  const one = (): Tree => {
    if (next("(")) {
      const inner = either();
      if (!next(")")) throw new SyntaxError("a bracket is open");
      return inner;
    }
    const id = current(words.shift() ?? "");
    const exception = next("WITH") ? exceptions.get((words.shift() ?? "").toLowerCase()) : "";
    if (!id || exception === undefined) throw new SyntaxError("no SPDX id");
    return exception ? { id, exception } : { id };
  };
  try {
    const tree = either();
    return words.length ? undefined : tree;
  } catch {
    return undefined;
  }
}
