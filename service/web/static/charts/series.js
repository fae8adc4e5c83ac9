// The history of a job's metrics, made ready to be drawn: panels, axes to the right, smoothing. No DOM.

import { smooth, unit } from "./smoothing.js";

const [STEP, EPOCH, TIME, VALUE] = [0, 1, 2, 3];
const PLACE = { epoch: EPOCH, step: STEP, time: TIME };
const NAMES = {
  loss: "Loss",
  log_loss: "Log-loss",
  average_precision: "Average precision",
  macro_average_precision: "Macro average precision",
};

/** Return the panels to draw, those about validation rows first: each holds one metric, of training and validation rows together. */
export function panelsOf(series) {
  const panels = new Map();
  for (const one of series) {
    const [part, metric] = one.name.split(/\/(.*)/s);
    if (!panels.has(metric)) panels.set(metric, { metric, lines: [] });
    panels.get(metric).lines.push({ ...one, part });
  }
  const rank = ({ lines }) => (lines.some(({ part }) => part === "validation") ? 0 : 1);
  return [...panels.values()].sort((one, other) => rank(one) - rank(other)).map((panel) => ({ ...panel, title: titleOf(panel) }));
}

function titleOf({ metric, lines }) {
  const name = NAMES[metric] ?? metric.replaceAll("_", " ");
  return lines.length === 1 ? `${name}, ${lines[0].part}` : name;
}

/** Return when the first point of all was recorded: where relative time begins. */
export function firstMoment(series) {
  return Math.min(...series.filter(({ points }) => points.length > 0).map(({ points }) => points[0][TIME]));
}

/** Return `[x, raw, smoothed, raw, smoothed, …]` over one common x, as uPlot wants it; a line without a point somewhere has a null there. */
export function columnsOf(lines, axis, weight, start) {
  const x = (point) => (axis === "time" ? point[TIME] - start : point[PLACE[axis]]);
  const common = [...new Set(lines.flatMap(({ points }) => points.map(x)))].sort((one, other) => one - other);
  const columns = lines.flatMap(({ points, count }) => {
    const raw = new Map(points.map((point) => [x(point), point[VALUE]]));
    // By steps of the trainer and not of the axis, so that the curve is the same on each.
    const epochs = points.map((point) => point[STEP]);
    const size = unit(epochs, count);
    const smoothed = smooth(points.map((point) => point[VALUE]), weight, epochs.map((place) => place / size));
    const even = new Map(points.map((point, index) => [x(point), smoothed[index]]));
    return [raw, even].map((values) => common.map((place) => values.get(place) ?? null));
  });
  return [common, ...columns];
}

/** Return the point of a line at an epoch; none where it has none. */
export function pointAt(points, epoch) {
  return points.find((point) => point[EPOCH] === epoch);
}

/** Return the place of a point on an axis. */
export function placeOf(point, axis, start) {
  return axis === "time" ? point[TIME] - start : point[PLACE[axis]];
}

/** Return the smoothing weight of a slider from 0 to 1: finer where it is strong. */
export function weightOf(slider) {
  return slider <= 0 ? 0 : Math.min(0.995, 1 - (1 - slider) ** 2);
}

/** Return all points as a table. */
export function tableOf(series) {
  const rows = series.flatMap(({ name, points }) => points.map((point) => [name, point[STEP], point[EPOCH], new Date(1000 * point[TIME]).toISOString(), point[VALUE]]));
  return { columns: ["series", "step", "epoch", "time", "value"], rows };
}

/** Word seconds as a person does. */
export function duration(seconds) {
  if (seconds < 60) return `${Number(seconds.toFixed(seconds < 10 ? 1 : 0))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")} min`;
  return `${Math.floor(seconds / 3600)}:${String(Math.floor((seconds % 3600) / 60)).padStart(2, "0")} h`;
}
