// SPDX-License-Identifier: Apache-2.0
// Which view is shown, by the part of the address behind `#`: `#/workflows?state=FAILED`, `#/workflows/order-7`.
import { signal } from "./ui.js";

export const route = signal(parsed(location.hash));

addEventListener("hashchange", () => (route.value = parsed(location.hash)));

function parsed(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [view, ...rest] = path.split("/");
  return { view: view || "overview", id: rest.map(decoded).join("/"), filters: new URLSearchParams(query) };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a view: `link("workflows", "order-7")`, `link("workflows", "", {state: "FAILED"})`. */
export function link(view, id = "", filters = {}) {
  const said = Object.entries(filters).filter(([, value]) => value);
  const query = said.length ? `?${new URLSearchParams(said)}` : "";
  return `#/${view}${id ? `/${encodeURIComponent(id)}` : ""}${query}`;
}

export function go(view, id, filters) {
  location.hash = link(view, id, filters);
}

/** Change the filters of the present view without a new entry in the browser's history. */
export function setFilters(filters) {
  history.replaceState(null, "", link(route.value.view, route.value.id, filters));
  route.value = parsed(location.hash);
}
