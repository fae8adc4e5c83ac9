// Where the gradient of a loss goes: how much each kind of row pulls at the model. No DOM.

import { lossAt, logit } from "./losses.js";

const CELLS = ["rare_hard", "rare_easy", "common_easy", "common_hard"];

/**
 * Return the share of the whole |gradient| that comes from each class's hard (p_t below 0.5) and easy rows.
 *
 * `rows` are `{target, margin, mass}`: how many rows of a class have which margin.
 */
export function gradientShares(terms, rows) {
  const sums = Object.fromEntries(CELLS.map((cell) => [cell, 0]));
  for (const { target, margin, mass } of rows) {
    const cell = `${target === 1 ? "rare" : "common"}_${margin < 0 ? "hard" : "easy"}`;
    sums[cell] += mass * Math.abs(lossAt(terms, target, margin).slope);
  }
  const total = CELLS.reduce((sum, cell) => sum + sums[cell], 0);
  return Object.fromEntries(CELLS.map((cell) => [cell, total > 0 ? sums[cell] / total : 0]));
}

/**
 * Return the rows of a perfectly calibrated model that separates the classes by `separation` standard deviations.
 *
 * Its scores are normal in each class: with log-odds of mean logit(prevalence) ± separation²/2 and deviation `separation`, every score is
 * the true log-odds. Its AUROC is the normal distribution's value at separation / √2.
 */
export function calibratedRows(prevalence, separation, steps = 160) {
  const rows = [];
  for (const target of [0, 1]) {
    const share = target === 1 ? prevalence : 1 - prevalence;
    const middle = logit(prevalence) + ((target === 1 ? 1 : -1) * separation ** 2) / 2;
    const width = 10 / steps;
    for (let index = 0; index < steps; index += 1) {
      const deviation = -5 + (index + 0.5) * width;
      const odds = middle + deviation * separation;
      const mass = (share * width * Math.exp(-(deviation ** 2) / 2)) / Math.sqrt(2 * Math.PI);
      rows.push({ target, margin: target === 1 ? odds : -odds, mass });
    }
  }
  return rows;
}

/** Return the AUROC of `calibratedRows`. */
export function aurocOf(separation) {
  return normalBelow(separation / Math.SQRT2);
}

/** The normal distribution's value, to 1e-7 (Abramowitz and Stegun 26.2.17). */
function normalBelow(z) {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const tail = [0.31938153, -0.356563782, 1.781477937, -1.821255978, 1.330274429].reduceRight((sum, factor) => (sum + factor) * t, 0);
  const above = (tail * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI);
  return z >= 0 ? 1 - above : above;
}
