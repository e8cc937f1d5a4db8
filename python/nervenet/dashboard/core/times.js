// SPDX-License-Identifier: Apache-2.0
// Moments and durations in words, as the command line says them: `0.38 s`, `9.1 s`, `4 min`, `2 h`, `7 d`.
import { signal } from "./ui.js";

export const DASH = "–";

/** The present moment in ms, for words that age. It stands still while the page is hidden. */
export const now = signal(Date.now());

setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) now.value = Date.now();
});

/** Milliseconds of a timestamp of the contract ("2026-05-01T09:12:04.131Z"); 0 where it is not set. */
export const millis = (timestamp) => (timestamp ? Date.parse(timestamp) : 0);

/** Milliseconds of a duration of the contract ("1.5s"); 0 where it is not set. */
export const durationMs = (duration) => (duration ? Math.round(parseFloat(duration) * 1000) : 0);

export function span(ms) {
  const seconds = Math.max(ms, 0) / 1000;
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 99.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** Like `span` without parts of a second: what waits changes slowly. */
export const slowSpan = (ms) => (ms < 100_000 ? `${Math.floor(Math.max(ms, 0) / 1000)} s` : span(ms));

export function took(start, end) {
  return start && end ? span(millis(end) - millis(start)) : DASH;
}

const pad = (number, width = 2) => String(number).padStart(width, "0");

/** `09:12:04.131` in the reader's time zone. */
export function clock(ms) {
  const when = new Date(ms);
  return `${pad(when.getHours())}:${pad(when.getMinutes())}:${pad(when.getSeconds())}.${pad(when.getMilliseconds(), 3)}`;
}

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SECONDS_MATTER_MS = 120_000;

/** `09:00` today, `Fri 09:00` this week, `Nov 30 09:00`. */
export function moment(ms, nowMs) {
  const [when, today] = [new Date(ms), new Date(nowMs)];
  const said = clock(ms).slice(0, Math.abs(ms - nowMs) < SECONDS_MATTER_MS ? 8 : 5);
  if (when.toDateString() === today.toDateString()) return said;
  const days = Math.round((midnight(when) - midnight(today)) / 86_400_000);
  if (days > 0 && days < 7) return `${DAYS[when.getDay()]} ${said}`;
  return `${MONTHS[when.getMonth()]} ${when.getDate()} ${said}`;
}

const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();

/** The whole moment, for a tooltip. */
export const exact = (ms) => (ms ? new Date(ms).toISOString() : "");
