// SPDX-License-Identifier: Apache-2.0
// A list of any length that keeps only the rows in sight. All rows have the same height.
import { html, useLayoutEffect, useRef, useState } from "../core/ui.js";

const SPARE_ROWS = 8;

/** `row(at)` makes the row; `label` names the list. */
export function VirtualList({ count, rowHeight, row, label, className = "", isFollowing = false }) {
  const ref = useRef();
  const [sight, setSight] = useState({ from: 0, to: 40 });
  const look = () => {
    const box = ref.current;
    const from = Math.max(Math.floor(box.scrollTop / rowHeight) - SPARE_ROWS, 0);
    const to = Math.ceil((box.scrollTop + box.clientHeight) / rowHeight) + SPARE_ROWS;
    setSight((before) => (before.from === from && before.to === to ? before : { from, to }));
  };
  useLayoutEffect(() => {
    look();
    const watched = new ResizeObserver(look);
    watched.observe(ref.current);
    return () => watched.disconnect();
  }, [rowHeight]);
  useLayoutEffect(() => {
    if (isFollowing) ref.current.scrollTop = ref.current.scrollHeight;
  }, [count, isFollowing]);
  const to = Math.min(sight.to, count);
  const from = Math.min(sight.from, to);
  // A row that leaves the sight lends its elements to one that enters it: to change a text is faster than to make elements.
  const places = Math.ceil((sight.to - sight.from + 1) / SPARE_ROWS) * SPARE_ROWS;
  const shown = [];
  for (let at = from; at < to; at++) {
    shown.push(html`<div key=${at % places} class="virtual-row" role="listitem" style=${{ top: `${at * rowHeight}px`, height: `${rowHeight}px` }}>${row(at)}</div>`);
  }
  return html`<div class=${`virtual ${className}`} ref=${ref} onScroll=${look} tabindex="0" role="group" aria-label=${label}>
    <div class="virtual-all" role="list" aria-label=${label} style=${{ height: `${count * rowHeight}px` }}>${shown}</div>
  </div>`;
}
