// The frame of a drawing: grid, ticks and what the axes are, in a plain system of pixels.

import { svg } from "./elements.js";
import { powerTicks, tickLabel, ticks } from "./scales.js";

export const MARGIN = { top: 26, right: 12, bottom: 38, left: 44 };

/** Return an empty drawing of this size, with a spoken name. */
export function canvas(width, height, label) {
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label, class: "chart-drawing" });
}

/** Return the grid, tick labels and title of an axis to the right, `title →`, between two heights. */
export function across(x, [bottom, top], title, { ticks: values = ticksOf(x, 70), label = tickLabel } = {}) {
  return svg(
    "g",
    { class: "chart-axes", "aria-hidden": "true" },
    values.map((value) => svg("line", { class: "chart-grid", x1: crisp(x(value)), x2: crisp(x(value)), y1: top, y2: bottom })),
    values.map((value) => svg("text", { x: x(value), y: bottom + 16, "text-anchor": "middle" }, label(value))),
    title === "" ? null : svg("text", { class: "chart-axis-title", x: x.range[1], y: bottom + 33, "text-anchor": "end" }, `${title} →`),
  );
}

/** Return the grid, tick labels and title of an axis upwards, `↑ title`, between two sides. */
export function upwards(y, [left, right], title, { ticks: values = ticksOf(y, 44), label = tickLabel } = {}) {
  return svg(
    "g",
    { class: "chart-axes", "aria-hidden": "true" },
    values.map((value) => svg("line", { class: "chart-grid", x1: left, x2: right, y1: crisp(y(value)), y2: crisp(y(value)) })),
    values.map((value) => svg("text", { x: left - 8, y: y(value), "text-anchor": "end", "dominant-baseline": "central" }, label(value))),
    title === "" ? null : svg("text", { class: "chart-axis-title", x: left - 36, y: Math.min(...y.range) - 12 }, `↑ ${title}`),
  );
}

export function axes(x, y, titles, options = {}) {
  return [across(x, y.range, titles.x, options.x), upwards(y, x.range, titles.y, options.y)];
}

/** Return ticks about `gap` pixels apart. */
function ticksOf(place, gap) {
  const count = Math.max(2, Math.abs(place.range[1] - place.range[0]) / gap);
  return place.kind === "linear" ? ticks(...place.domain, count) : powerTicks(...place.domain, count);
}
/** Return a pixel's middle, so that a line of one pixel is one pixel. */
export function crisp(pixel) {
  return Math.round(pixel - 0.5) + 0.5;
}

/** Return the path through points; where a value is not finite the line has a gap. */
export function line(points) {
  let pen = "M";
  const parts = [];
  for (const [x, y] of points) {
    if (Number.isFinite(x) && Number.isFinite(y)) {
      parts.push(`${pen}${x.toFixed(1)} ${y.toFixed(1)}`);
      pen = "L";
    } else pen = "M";
  }
  return parts.join("");
}

/** Return the path that keeps each value until the next point: what a curve of decisions does. */
export function steps(points) {
  return points.map(([x, y], index) => (index === 0 ? `M${x.toFixed(1)} ${y.toFixed(1)}` : `H${x.toFixed(1)}V${y.toFixed(1)}`)).join("");
}
