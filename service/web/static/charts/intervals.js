// Intervals of shares. No DOM.

/** Return Wilson's interval of `hits` among `rows`: by default of 95%. */
export function wilson(hits, rows, z = 1.959963984540054) {
  if (rows === 0) return [0, 1];
  const share = hits / rows;
  const below = 1 + (z * z) / rows;
  const middle = (share + (z * z) / (2 * rows)) / below;
  const half = (z * Math.sqrt((share * (1 - share)) / rows + (z * z) / (4 * rows * rows))) / below;
  // Rounding must not leave a share of 0 or 1 outside its own interval.
  return [hits === 0 ? 0 : Math.max(0, middle - half), hits === rows ? 1 : Math.min(1, middle + half)];
}
