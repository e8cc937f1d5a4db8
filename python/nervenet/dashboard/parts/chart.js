// SPDX-License-Identifier: Apache-2.0
// A chart over time, by uPlot. `data` is [[seconds…], [values…], …], `series` says what each line is: {label, tone, isFilled}.
import uPlot from "../vendor/uplot.js";
import { theme } from "../core/settings.js";
import { html, useEffect, useRef } from "../core/ui.js";

export function Chart({ data, series, height = 160, label }) {
  const ref = useRef();
  const drawn = useRef(null);
  const chosen = theme.value;
  useEffect(() => {
    const box = ref.current;
    drawn.current = new uPlot(optionsOf(box, series, height), data, box);
    const watched = new ResizeObserver(() => drawn.current.setSize({ width: box.clientWidth, height }));
    watched.observe(box);
    const system = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => drawn.current.redraw();
    system.addEventListener("change", redraw);
    return () => {
      system.removeEventListener("change", redraw);
      watched.disconnect();
      drawn.current.destroy();
    };
  }, [chosen, series.length, height]);
  useEffect(() => drawn.current.setData(data), [data]);
  return html`<div class="chart" role="img" aria-label=${label} ref=${ref} />`;
}

const color = (tone) => getComputedStyle(document.documentElement).getPropertyValue(`--${tone}`).trim();

/** Whether the labels of minutes would repeat. */
const isShort = ({ scales }) => scales.x.max - scales.x.min < 900;

function optionsOf(box, series, height) {
  const axis = {
    stroke: () => color("quiet-text"),
    grid: { stroke: () => color("line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  return {
    width: box.clientWidth || 300,
    height,
    padding: [8, 26, 0, 0],
    cursor: { y: false, points: { size: 6 } },
    legend: { live: true },
    scales: { y: { range: (_, low, high) => [Math.min(low, 0), Math.max(high, 1) * 1.1] } },
    axes: [
      { ...axis, size: 28, space: 90, values: (chart, splits) => splits.map((at) => new Date(at * 1000).toTimeString().slice(0, isShort(chart) ? 8 : 5)) },
      { ...axis, size: 38, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000, 100000] },
    ],
    series: [
      { label: "at", value: (_, at) => (at === null ? "–" : new Date(at * 1000).toTimeString().slice(0, 8)) },
      ...series.map(({ label, tone, isFilled }) => ({
        label,
        stroke: () => color(tone),
        fill: isFilled ? () => `color-mix(in srgb, ${color(tone)} 14%, transparent)` : undefined,
        width: 1.75,
        points: { show: false },
        value: (_, value) => (value === null ? "–" : String(Math.round(value * 10) / 10)),
      })),
    ],
  };
}
