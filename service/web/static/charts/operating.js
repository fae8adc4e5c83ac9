// What a threshold does: confusion cells and the metrics they give, from the curves of an evaluation. No DOM.
// A row is called positive if its score is at least the threshold.

const MOST_CURVE_POINTS = 1000;

/**
 * Return the steps of one class against the rest, thresholds falling: `{thresholds, hits, false_alarms, positives, negatives, is_whole}`.
 *
 * Null where a class has no rows. `is_whole` tells that the curve was not thinned, so that every threshold's cells are exact.
 */
export function stepsOf(roc, positives, negatives) {
  if (roc === null || roc === undefined) return null;
  return {
    thresholds: roc.thresholds,
    hits: roc.true_positive_rate.map((rate) => Math.round(rate * positives)),
    false_alarms: roc.false_positive_rate.map((rate) => Math.round(rate * negatives)),
    positives,
    negatives,
    is_whole: roc.thresholds.length < MOST_CURVE_POINTS,
  };
}

/** Return the step a threshold belongs to: the last whose threshold is not below it. */
export function stepAt(steps, threshold) {
  let [low, high] = [0, steps.thresholds.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (steps.thresholds[middle] >= threshold) low = middle;
    else high = middle - 1;
  }
  return low;
}

/**
 * Return how far along a slider a step lies, 0 for the highest threshold: half by the share of rows called positive, half by recall.
 *
 * With a rare class most of what happens lies in the few rows that score highest; by rows or by score alone it would be a hair's breadth.
 */
export function placeOf(steps, index) {
  const called = steps.hits[index] + steps.false_alarms[index];
  return (called / (steps.positives + steps.negatives) + steps.hits[index] / steps.positives) / 2;
}

/** Return the step nearest to a place on the slider. */
export function stepAtPlace(steps, place) {
  let [low, high] = [0, steps.thresholds.length - 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (placeOf(steps, middle) >= place) high = middle;
    else low = middle + 1;
  }
  const isNearer = low > 0 && place - placeOf(steps, low - 1) < placeOf(steps, low) - place;
  return isNearer ? low - 1 : low;
}

/** Return the confusion cells of one step. */
export function cellsOf(steps, index) {
  const [tp, fp] = [steps.hits[index], steps.false_alarms[index]];
  return { tp, fp, fn: steps.positives - tp, tn: steps.negatives - fp };
}

export function cellsAt(steps, threshold) {
  return cellsOf(steps, stepAt(steps, threshold));
}

/** Return each metric of the cells as `{value, reason}`; where it is undefined, value is null and the reason says why. */
export function metricsOf({ tp, fp, fn, tn }) {
  const spread = Math.sqrt((tp + fp) * (tp + fn)) * Math.sqrt((tn + fp) * (tn + fn));
  return {
    precision: ratio(tp, tp + fp, "no_predicted_positive"),
    recall: ratio(tp, tp + fn, "no_positive"),
    f1: ratio(2 * tp, 2 * tp + fp + fn, "zero_denominator"),
    mcc: ratio(tp * tn - fp * fn, spread, whyNoSpread({ tp, fp, fn, tn })),
    specificity: ratio(tn, tn + fp, "no_negative"),
    accuracy: ratio(tp + tn, tp + fp + fn + tn, "zero_denominator"),
  };
}

function ratio(above, below, reason) {
  return below > 0 ? { value: above / below, reason: null } : { value: null, reason };
}

function whyNoSpread({ tp, fp, fn, tn }) {
  if (tp + fn === 0) return "no_positive";
  if (tn + fp === 0) return "no_negative";
  return tp + fp === 0 ? "no_predicted_positive" : "zero_denominator";
}

/** Return what the cells cost per row, a miss and a false alarm at these prices. */
export function costOf({ tp, fp, fn, tn }, missPrice, falseAlarmPrice) {
  return (missPrice * fn + falseAlarmPrice * fp) / (tp + fp + fn + tn);
}

/** Return the step that costs least; of equally cheap ones the nearest to 0.5, as the service chooses. */
export function cheapestStep(steps, missPrice, falseAlarmPrice) {
  let best = 0;
  const cost = (index) => missPrice * (steps.positives - steps.hits[index]) + falseAlarmPrice * steps.false_alarms[index];
  const distance = (index) => Math.abs(steps.thresholds[index] - 0.5);
  for (let index = 1; index < steps.thresholds.length; index += 1) {
    const gain = cost(best) - cost(index);
    if (gain > 0 || (gain === 0 && distance(index) < distance(best))) best = index;
  }
  return best;
}

const REASONS = {
  no_positive: "no rows of this class",
  no_negative: "no rows of the other class",
  no_predicted_positive: "no row is called positive",
  zero_denominator: "nothing to divide by",
  constant_scores: "all rows have the same score",
  too_few: "fewer than 5 rows of a class",
  degenerate: "rows drawn from these cannot differ",
  unstable: "undefined in over 5% of the draws",
  several_classes: "several classes have no single threshold",
  infeasible_constraint: "no threshold satisfies it",
  not_increasing: "it would turn the ranking round",
  at_bound: "no finite temperature is best",
  identical: "the same predictions",
  zero_variance: "the runs do not differ at all",
  too_few_runs: "fewer than two runs",
};

/** Return a reason in words; one that is not known here as it came. */
export function reasonInWords(reason) {
  if (reason === null || reason === undefined) return "";
  const [code, label] = reason.split(/:(.*)/s);
  return code === "class_absent" ? `class ${label} has no rows` : (REASONS[code] ?? reason);
}
