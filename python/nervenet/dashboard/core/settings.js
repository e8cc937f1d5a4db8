// SPDX-License-Identifier: Apache-2.0
// What a person chose on this browser. The token lives only as long as the tab.
import { signal } from "./ui.js";

function stored(name, initial, storage = localStorage) {
  const key = `nervenet.${name}`;
  const chosen = signal(storage.getItem(key) ?? initial);
  chosen.subscribe((value) => (value ? storage.setItem(key, value) : storage.removeItem(key)));
  return chosen;
}

/** "dark", "light", or "" for what the system prefers. */
export const theme = stored("theme", "");
/** Who decides and cancels: information for others. "" = the owner of the token. */
export const person = stored("person", "");
/** Address of a trace, with {trace_id} in it. "" = the page shows the id to copy. */
export const traceAddress = stored("trace", "");
export const token = stored("token", "", sessionStorage);
/** Whose workflows the page shows: `?namespace=team-a` in its address. "" = what the node serves first. */
export const namespace = new URLSearchParams(location.search).get("namespace") ?? "";
/** Whether the node refused the namespace: it does not serve it, or the person may not use it. */
export const namespaceRefused = signal(false);
/** Whether the node refused the token, or its absence. */
export const tokenRefused = signal(false);

/** Show another namespace. The page starts anew, so that nothing of this one stays on it. */
export function showNamespace(name) {
  const address = new URL(location.href);
  if (name) address.searchParams.set("namespace", name);
  else address.searchParams.delete("namespace");
  if (address.href === location.href) location.reload();
  else location.assign(address.href);
}

theme.subscribe((chosen) => {
  if (chosen) document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
});

export function isDark() {
  return theme.value ? theme.value === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** The link to a trace; null where no address is set, or where it is no web address. */
export function traceLink(traceId) {
  if (!traceAddress.value || !/^[0-9a-f]+$/i.test(traceId)) return null;
  try {
    const link = new URL(traceAddress.value.replaceAll("{trace_id}", traceId));
    return link.protocol === "https:" || link.protocol === "http:" ? link.href : null;
  } catch {
    return null;
  }
}
