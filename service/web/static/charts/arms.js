// The arms of a study, made ready to be drawn: how each looks, which pairs are shown, where an axis ends. No DOM.

import { rounded } from "./scales.js";

const VARIANTS = 4;

/** Return the classes of each arm by its name: the colour of its loss, and a shade of its own among arms of the same loss. */
export function looksOf(arms) {
  const seen = new Map();
  return new Map(
    arms.map(({ arm, loss }) => {
      const place = seen.get(loss.kind) ?? 0;
      seen.set(loss.kind, place + 1);
      return [arm, `arm arm-${place % VARIANTS} loss-${loss.kind.replaceAll("_", "-")}`];
    }),
  );
}

/** Return the comparisons to show: those of the leader, or all. */
export function pairsOf({ comparisons, leaderboard }, isAll) {
  const leader = leaderboard[0].arm;
  return isAll ? comparisons : comparisons.filter(({ a, b }) => a === leader || b === leader);
}

/** Return the ends of an axis of differences: it holds all intervals, zero, and the smallest difference that matters on both sides. */
export function reachOf(pairs, minimum) {
  const known = pairs.flatMap(({ difference, low, high }) => [difference, low, high]).filter((value) => value !== null);
  const [low, high] = [Math.min(0, -minimum, ...known), Math.max(0, minimum, ...known)];
  const room = 0.04 * (high - low || 1);
  return [low - room, high + room];
}

/** Word a p-value. */
export function pValue(value) {
  if (value === null) return "–";
  if (value >= 0.9995) return "1";
  return value < 0.001 ? "< 0.001" : value.toFixed(3);
}

/** Return a name cut to about `count` characters. */
export function shortened(name, count) {
  return name.length <= count ? name : `${name.slice(0, Math.max(1, count - 1))}…`;
}

/** Return the names of all series, those about validation rows first. */
export function seriesNames(arms) {
  const names = new Set(arms.flatMap(({ series }) => series.map(({ name }) => name)));
  const rank = (name) => (name.startsWith("validation/") ? 0 : 1);
  return [...names].sort((one, other) => rank(one) - rank(other) || one.localeCompare(other));
}

/** Return the series to show first: of the metric the arms are compared by where it was recorded while training, else of precision. */
export function firstSeries(names, metric) {
  const wanted = [`validation/${metric}`, "validation/average_precision", "validation/macro_average_precision", "validation/log_loss"];
  return wanted.find((name) => names.includes(name)) ?? names[0] ?? null;
}

const [EPOCH, MEAN, LOW, HIGH, RUNS] = [0, 1, 2, 3, 4];
/** So much of the curves may lie outside when their ends are looked at closely. */
const CUT = 0.15;

/** Return the ends of the axis upwards: of all points, or without the first part of the training, where every arm still has far to go. */
export function heightOf(series, isWhole, goal) {
  const points = series.flatMap(({ points: own }) => own);
  let [lows, highs] = [points.map((point) => point[LOW]), points.map((point) => point[HIGH])];
  const spread = [...lows, ...highs].length ? [Math.min(...lows), Math.max(...highs)] : [0, 1];
  if (!isWhole && points.length > 20) {
    const means = points.map((point) => point[MEAN]).sort((one, other) => one - other);
    const cut = means[Math.floor((goal === "max" ? CUT : 1 - CUT) * (means.length - 1))];
    // What a curve comes to is never cut off.
    const late = series.flatMap(({ points: own }) => own.slice(Math.floor(own.length / 2)).map((point) => point[MEAN]));
    if (goal === "max") spread[0] = Math.max(spread[0], Math.min(cut, ...late));
    else spread[1] = Math.min(spread[1], Math.max(cut, ...late));
  }
  return rounded(...spread);
}

/** Return the point of a series at an epoch, or the last before it; none where it has none yet, or has ended. */
export function atEpoch({ points }, epoch) {
  const found = points.findLast((point) => point[EPOCH] <= epoch);
  return found === undefined || epoch > points[points.length - 1][EPOCH] ? null : found;
}

/** Return the series in two: as far as all its runs went, and from there on. They share a point. */
export function whole({ points }) {
  const most = Math.max(0, ...points.map((point) => point[RUNS]));
  const first = points.findIndex((point) => point[RUNS] < most);
  return first === -1 ? [points, []] : [points.slice(0, first), points.slice(Math.max(0, first - 1))];
}
