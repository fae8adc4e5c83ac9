// Scales, ticks and the wording of numbers: what every axis needs. No DOM.

/** Return a map from numbers to pixels; `invert` goes back. `kind` is "linear", "log" or "symlog" (log that reaches 0). */
export function scale(domain, range, kind = "linear") {
  const [forward, back] = KINDS[kind];
  const [low, high] = domain.map(forward);
  const [start, end] = range;
  // An empty domain has one place: the middle.
  const place = (value) => (high === low ? (start + end) / 2 : start + ((forward(value) - low) / (high - low)) * (end - start));
  const invert = (pixel) => back(low + ((pixel - start) / (end - start)) * (high - low));
  return Object.assign(place, { invert, domain, range, kind });
}

const KINDS = {
  linear: [(value) => value, (value) => value],
  log: [Math.log10, (value) => 10 ** value],
  symlog: [(value) => Math.log10(1 + value), (value) => 10 ** value - 1],
};

/** Return round values from `low` to `high`, about `count` of them, 1, 2 or 5 times a power of ten apart. */
export function ticks(low, high, count = 5) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => power * factor >= rough * 0.999);
  const places = Math.max(0, -Math.floor(Math.log10(step)));
  const found = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index += 1) {
    found.push(Number((index * step).toFixed(places)));
  }
  return found;
}

/** Return the powers of ten from `low` to `high`, thinned to about `count`; 0 leads when `low` is 0 (a symlog axis). */
export function powerTicks(low, high, count = 6) {
  const first = Math.ceil(Math.log10(low > 0 ? low : 1) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  const stride = Math.max(1, Math.ceil((last - first + 1) / count));
  const found = low > 0 ? [] : [0];
  for (let power = first; power <= last; power += stride) found.push(Number(`1e${power}`));
  return found;
}

/** Return a domain that begins and ends at round values around `low` and `high`. */
export function rounded(low, high, count = 5) {
  if (!(high > low)) return [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  const inner = ticks(low, high, count);
  const step = inner.length > 1 ? inner[1] - inner[0] : high - low;
  return [Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step];
}

/** Return a number as a person writes it: `digits` significant digits, thousands grouped; a dash for nothing. */
export function number(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e7)) return value.toExponential(Math.max(0, digits - 1)).replace("e+", "e").replace("-", "−");
  return value.toLocaleString("en", { maximumSignificantDigits: digits }).replace("-", "−");
}

/** Return a number with a fixed count of decimals, so that it does not jitter while it changes. */
export function fixed(value, decimals = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return value.toFixed(decimals).replace("-", "−");
}

/** Return a threshold's wording: enough digits to tell neighbours apart near 0 and 1. */
export function score(value) {
  if (value > 1) return "none";
  const edge = Math.min(value, 1 - value);
  return value.toFixed(edge >= 0.01 || edge <= 0 ? 3 : Math.min(8, 2 - Math.floor(Math.log10(edge))));
}

/** Return a whole number with its thousands grouped. */
export function count(value) {
  return Math.round(value).toLocaleString("en");
}

/** Return a tick's wording: short, without noise digits. */
export function tickLabel(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6) return `${number(value / 1e6)}M`;
  if (size >= 1e4) return `${number(value / 1e3)}k`;
  if (size < 1e-3) return value.toExponential(0).replace("-", "−");
  return number(value, 6);
}

/** Return a share as per cent. */
export function percent(value, digits = 3) {
  return value === null || value === undefined || Number.isNaN(value) ? "–" : `${number(100 * value, digits)}%`;
}
