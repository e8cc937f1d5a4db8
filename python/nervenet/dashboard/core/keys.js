// SPDX-License-Identifier: Apache-2.0
// The keyboard: `/` searches, j and k go through rows, Enter opens one (rows are links), Escape closes, `?` helps.
import { go } from "./router.js";
import { signal } from "./ui.js";

export const isHelpShown = signal(false);

export const KEYS = [
  ["/", "search or filter"],
  ["j  k", "next and previous row"],
  ["Enter", "open the row"],
  ["x", "select the row"],
  ["Esc", "close, or leave the field"],
  ["g o", "Overview"],
  ["g w", "Workflows"],
  ["g e", "Escalations"],
  ["g a", "Agents and nodes"],
  ["g c", "Capabilities"],
  ["g d", "Definitions"],
  ["t", "dark or light"],
  ["?", "this help"],
];
const PLACES = { o: "overview", w: "workflows", e: "escalations", a: "agents", c: "capabilities", d: "definitions" };

let isGoing = false;
const closers = [];

/** Have Escape call `close`, before those that were there earlier. Returns how to take it back. */
export function onEscape(close) {
  closers.push(close);
  return () => closers.splice(closers.indexOf(close), 1);
}

export function listen(actions) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") escape();
    else if (!isTyping(event.target) && press(event.key, actions)) event.preventDefault();
  });
}

/** Whether the key meant something. */
function press(key, actions) {
  if (isGoing && PLACES[key]) go(PLACES[key]);
  else if (key === "g") return (isGoing = true);
  else if (key === "/") document.querySelector("[data-search]")?.focus();
  else if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
  else if (key === "x") document.activeElement?.closest("tr, li")?.querySelector("input[type=checkbox]")?.click();
  else if (key === "?") isHelpShown.value = true;
  else if (actions[key]) actions[key]();
  else return (isGoing = false);
  isGoing = false;
  return true;
}

function escape() {
  isGoing = false;
  if (isTyping(document.activeElement)) document.activeElement.blur();
  else closers.at(-1)?.();
}

function step(by) {
  const rows = [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent);
  const at = rows.indexOf(document.activeElement);
  const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + by, 0), rows.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

const isTyping = (element) =>
  element instanceof HTMLElement && (element.isContentEditable || element.matches("input:not([type=checkbox]):not([type=radio]), textarea, select"));
