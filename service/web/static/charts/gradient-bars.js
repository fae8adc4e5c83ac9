// Where the gradient goes: for each loss a bar, parted by class and by easy and hard rows.

import { html } from "./elements.js";
import { lossOf, NAMES, sharesOf } from "./explorer-state.js";
import { calibratedRows, gradientShares } from "./gradient.js";
import { logit, termsOf } from "./losses.js";
import { percent } from "./scales.js";

const PARTS = [
  ["rare_hard", "rare, hard"],
  ["rare_easy", "rare, easy"],
  ["common_easy", "common, easy"],
  ["common_hard", "common, hard"],
];
const NARROW = 0.09;

/** Return the rows the gradient comes from: a job's validation scores where one is chosen, else a model of our own. */
export function rowsOf(state, histogram) {
  if (!histogram) return calibratedRows(state.prevalence, state.separation);
  const { edges, positives, negatives } = histogram;
  const total = [...positives, ...negatives].reduce((sum, rows) => sum + rows, 0);
  return edges.slice(1).flatMap((end, index) => {
    const odds = logit((edges[index] + end) / 2);
    return [
      { target: 1, margin: odds, mass: positives[index] / total },
      { target: 0, margin: -odds, mass: negatives[index] / total },
    ].filter(({ mass }) => mass > 0);
  });
}

/** Return `[kind, shares]` of each loss. */
export function sharesByLoss(state, rows) {
  return state.losses.map((kind) => [kind, gradientShares(termsOf(lossOf(kind, state), sharesOf(state)), rows)]);
}

/** Return the bars, with their legend. */
export function bars(found) {
  const legend = html("ul", { class: "chart-legend", "aria-hidden": "true" }, PARTS.map(([name, words]) => html("li", { class: `chart-part chart-${name}` }, words)));
  return [legend, html("dl", { class: "chart-share-bars" }, found.map(([kind, shares]) => bar(kind, shares)))];
}

function bar(kind, shares) {
  const told = PARTS.map(([name, words]) => `${words} ${percent(shares[name], 2)}`).join(", ");
  const parts = PARTS.map(([name, words]) => {
    const part = html("span", { class: `chart-${name}`, title: `${words}: ${percent(shares[name])}` }, shares[name] >= NARROW ? `${Math.round(100 * shares[name])}%` : "");
    part.style.setProperty("flex-grow", shares[name]);
    return part;
  });
  return html(
    "div",
    {},
    html("dt", { class: `loss-${kind.replaceAll("_", "-")}` }, NAMES[kind]),
    html("dd", {}, html("div", { role: "img", "aria-label": told }, parts)),
  );
}
