// Smoothing of curves: a debiased exponential moving average. No DOM.

/**
 * Return the average of each value and those before it, whose weights fall by `weight` (0 to 1) for every unit of `places`.
 *
 * Dividing by the sum of the weights debiases the start; updating the mean by a share of the difference keeps a constant series
 * constant to the last bit. The fall is by distance, not by point, so that a thinned series is smoothed as the whole one is.
 * A null stays null and is passed over.
 */
export function smooth(values, weight, places = values.map((_, index) => index)) {
  if (!(weight > 0)) return values.slice();
  let mean = 0;
  let total = 0;
  let last = null;
  return values.map((value, index) => {
    if (value === null || !Number.isFinite(value)) return value;
    total = last === null ? 1 : total * weight ** (places[index] - last) + 1;
    last = places[index];
    mean = total === 1 ? value : mean + (value - mean) / total;
    return mean;
  });
}

/** Return the unit of `places`: the smallest step between neighbours of the whole series; 1 where there is none. */
export function unit(places, wholeCount) {
  if (places.length < 2 || wholeCount < 2) return 1;
  return (places[places.length - 1] - places[0]) / (wholeCount - 1) || 1;
}
