// The explorer's four panels: loss and gradient, of a row of the rare class and of the common one.

import { across, canvas, crisp, line, upwards } from "./axes.js";
import { svg } from "./elements.js";
import { lossOf, NAMES, sharesOf } from "./explorer-state.js";
import { lossAt, logit, sigmoid, termsOf } from "./losses.js";
import { scale } from "./scales.js";

const SAMPLES = 240;
const MARGINS = [-7, 7];
const HIGHEST = { value: 8, slope: 4 };
const LOWEST = 1e-4;
const GAP = 22;
const CLASSES = [[1, "A row of the rare class"], [0, "A row of the common class"]];
const ROWS = [["value", "Loss"], ["slope", "Gradient"]];

let drawings = 0;

/** Return the margins at which curves are drawn, even on the axis shown. */
export function margins(axis) {
  const share = (index) => index / (SAMPLES - 1);
  return Array.from({ length: SAMPLES }, (_, index) =>
    axis === "margin" ? MARGINS[0] + share(index) * (MARGINS[1] - MARGINS[0]) : logit(0.002 + share(index) * 0.996),
  );
}

/** Return each loss's curves: `{kind, terms, points}` where `points[target]` are `{x, value, slope}`. */
export function curvesOf(state) {
  const places = margins(state.axis);
  return state.losses.map((kind) => {
    const terms = termsOf(lossOf(kind, state), sharesOf(state));
    const points = [0, 1].map((target) =>
      places.map((margin) => {
        const { value, slope } = lossAt(terms, target, margin);
        return { x: state.axis === "margin" ? margin : sigmoid(margin), value, slope: Math.abs(slope) };
      }),
    );
    return { kind, terms, points };
  });
}

/** Draw the panels; returns the drawing with `xs`, its scales to the right, so that a pointer finds its place. */
export function panels(state, width) {
  const isNarrow = width < 560;
  const columns = isNarrow ? 1 : 2;
  const curves = curvesOf(state);
  const [wide, tall] = [(width - GAP * (columns - 1)) / columns, isNarrow ? 210 : 230];
  const height = (4 / columns) * tall;
  const drawing = canvas(width, height, "Loss and gradient of each chosen loss");
  drawing.xs = [];
  CLASSES.forEach(([target, title], column) => {
    ROWS.forEach(([what, name], row) => {
      const place = isNarrow ? { left: 0, top: (2 * column + row) * tall } : { left: column * (wide + GAP), top: row * tall };
      drawing.append(panel({ state, curves, target, what, place, wide, tall, name: row === 0 ? `${name}. ${title}` : name, xs: drawing.xs }));
    });
  });
  return drawing;
}

function panel({ state, curves, target, what, place, wide, tall, name, xs }) {
  const box = { left: place.left + 40, right: place.left + wide - 8, top: place.top + 24, bottom: place.top + tall - 40 };
  const x = scale(state.axis === "margin" ? MARGINS : [0, 1], [box.left, box.right]);
  const y = scale(heights(state, curves, what), [box.bottom, box.top], state.height);
  const id = `chart-panel-${(drawings += 1)}`;
  const inside = (value) => (state.height === "log" ? Math.max(value, y.domain[0] / 10) : value);
  const cursor = svg("line", { class: "chart-cursor", x1: 0, x2: 0, y1: box.top, y2: box.bottom });
  xs.push({ x, box, cursor });
  return svg(
    "g",
    {},
    across(x, [box.bottom, box.top], state.axis === "margin" ? "Lead of the true class (logit)" : "p_t, probability of the true class"),
    upwards(y, [box.left, box.right], name),
    svg("clipPath", { id }, svg("rect", { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top })),
    cursor,
    svg(
      "g",
      { "clip-path": `url(#${id})` },
      curves.map(({ kind, points }) => svg("path", { class: `chart-loss loss-${kind.replaceAll("_", "-")}`, d: line(points[target].map((point) => [x(point.x), y(inside(point[what]))])) }, svg("title", {}, NAMES[kind]))),
    ),
  );
}

/** Return the domain upwards, one for both classes so that they can be compared: what is very high leaves the frame. */
function heights({ height }, curves, what) {
  const all = curves.flatMap(({ points }) => points.flatMap((one) => one.map((point) => point[what])));
  const most = Math.max(1, ...all);
  if (height === "log") return [LOWEST, 10 ** Math.ceil(Math.log10(most))];
  return [0, Math.min(HIGHEST[what], most * 1.04)];
}

/** Move the cursor of all panels to a margin. */
export function point(drawing, margin, axis) {
  for (const { x, cursor } of drawing.xs) {
    const px = crisp(x(axis === "margin" ? Math.max(MARGINS[0], Math.min(MARGINS[1], margin)) : sigmoid(margin)));
    cursor.setAttribute("x1", px);
    cursor.setAttribute("x2", px);
  }
}

/** Return the p_t at a pixel of the drawing; null outside the panels. */
export function probabilityAt(drawing, axis, px, py) {
  const hit = drawing.xs.find(({ box }) => px >= box.left - 6 && px <= box.right + 6 && py >= box.top - 6 && py <= box.bottom + 30);
  if (!hit) return null;
  const value = hit.x.invert(Math.max(hit.box.left, Math.min(hit.box.right, px)));
  return Math.max(0.001, Math.min(0.999, axis === "margin" ? sigmoid(value) : value));
}
