// What the loss explorer shows, and how its address says it. No DOM.

import { KINDS } from "./losses.js";

export const NAMES = {
  cross_entropy: "Cross-entropy",
  balanced_cross_entropy: "Balanced CE",
  focal: "Focal",
  logit_adjusted: "Logit-adjusted",
  balanced_softmax: "Balanced softmax",
  ldam: "LDAM",
  poly: "Poly-1",
};

/** Every setting with what it is when the address does not say. */
export const DEFAULTS = {
  losses: ["cross_entropy", "balanced_cross_entropy", "focal"],
  prevalence: 0.05,
  gamma: 2,
  alpha: null,
  weights: "inverse_frequency",
  tau: 1,
  max_margin: 0.5,
  scale: 30,
  epsilon: 1,
  axis: "probability",
  height: "linear",
  at: 0.9,
  separation: 1.8,
  job: null,
};

const RANGES = { prevalence: [0.001, 0.5], gamma: [0, 5], tau: [0, 2], max_margin: [0.1, 1], scale: [1, 40], epsilon: [-1, 6], at: [0.001, 0.999], separation: [0.2, 4] };
const CHOICES = { axis: ["probability", "margin"], height: ["linear", "log"], weights: ["inverse_frequency", "sqrt_inverse_frequency"] };

/** Return the state that the part of an address after its # asks for; what it says wrongly is as if it said nothing. */
export function stateOf(text) {
  const given = new URLSearchParams(text);
  const state = { ...DEFAULTS };
  for (const [name, [low, high]] of Object.entries(RANGES)) {
    const value = Number.parseFloat(given.get(name));
    if (value >= low && value <= high) state[name] = value;
  }
  for (const [name, choices] of Object.entries(CHOICES)) if (choices.includes(given.get(name))) state[name] = given.get(name);
  if (given.has("losses")) state.losses = KINDS.filter((kind) => given.get("losses").split(",").includes(kind));
  const alpha = Number.parseFloat(given.get("alpha"));
  if (given.get("alpha") === "balanced") state.alpha = "balanced";
  else if (alpha > 0 && alpha < 1) state.alpha = alpha;
  if (/^job_[0-9A-Za-z]+$/.test(given.get("job") ?? "")) state.job = given.get("job");
  return state;
}

/** Return the part after the # for a state: only what differs from the defaults. */
export function fragmentOf(state) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (String(value) !== String(DEFAULTS[name]) && value !== null) query.set(name, String(value));
  }
  return query.toString().replaceAll("%2C", ",");
}

/** Return a loss with the state's parameters, as a job takes it. */
export function lossOf(kind, state) {
  const own = {
    balanced_cross_entropy: ["weights"],
    focal: ["gamma", "alpha"],
    logit_adjusted: ["tau"],
    ldam: ["max_margin", "scale"],
    poly: ["epsilon"],
  }[kind];
  return { kind, ...Object.fromEntries((own ?? []).map((name) => [name, state[name]])) };
}

export function sharesOf(state) {
  return [1 - state.prevalence, state.prevalence];
}
