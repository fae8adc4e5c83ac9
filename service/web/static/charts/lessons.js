// What the losses on show are known to be misread for, in sentences with the numbers of the moment. No DOM.

import { lossOf, sharesOf } from "./explorer-state.js";
import { lossAt, logit, sigmoid, termsOf } from "./losses.js";
import { number, percent } from "./scales.js";

/** Return the lessons of a state: `{kind, text}`. */
export function lessonsOf(state) {
  return state.losses.flatMap((kind) => (LESSONS[kind]?.(state) ?? []).filter(Boolean).map((text) => ({ kind, text })));
}

const LESSONS = {
  focal: (state) => [silenced(state), crossing(state), alphaTold(state), FORMULA],
  balanced_cross_entropy: (state) => {
    const { weights } = termsOf(lossOf("balanced_cross_entropy", state), sharesOf(state));
    const bent = (state.prevalence * weights[1]) / (state.prevalence * weights[1] + (1 - state.prevalence) * weights[0]);
    return [
      `A rare row weighs ${number(weights[1] / weights[0])} times a common one. A row the model knows nothing about is given ${percent(bent)} instead of ${percent(state.prevalence)}: its probabilities are corrected afterwards, its ranking needs no correction.`,
    ];
  },
  logit_adjusted: (state) => [
    `The rare class must lead by ${number(state.tau * Math.log((1 - state.prevalence) / state.prevalence))} more in the logit before it counts as right. Nothing is weighed: only where the curve begins to fall moves.`,
    state.tau === 1 && state.losses.includes("balanced_softmax") ? "With τ = 1 it is balanced softmax: the two curves lie on each other." : null,
  ],
  ldam: (state) => {
    const { margin, scale } = termsOf(lossOf("ldam", state), sharesOf(state));
    return [`Its logits are cosines times ${number(scale)}. The rare class must lead by a margin of ${number(scale * margin[1])}, the common one by ${number(scale * margin[0])}: even a row at p_t = 0.99 still pulls.`];
  },
  poly: (state) => [state.epsilon === 0 ? "With ε = 0 it is cross-entropy." : `It pulls ${number(pullWhenUndecided(state))} times as hard as cross-entropy at an undecided row (p_t = 0.5). ε moves the first term of cross-entropy's series, and knows nothing about classes.`],
};

const FORMULA = "For a positive it is −α (1 − p)^γ ln p. Where you find −(1 − p log p), the exponent and a parenthesis were lost in print.";

function silenced({ gamma }) {
  if (gamma === 0) return "With γ = 0 it is cross-entropy.";
  return `At p_t = 0.9, γ = ${number(gamma)} keeps ${percent(0.1 ** gamma, 2)} of cross-entropy's loss: rows that are already right fall silent. It is about easy and hard, not about classes.`;
}

function crossing({ gamma }) {
  if (gamma === 0) return null;
  const p = crossesBelow(gamma);
  return `Below p_t = ${number(p, 2)} it pulls harder than cross-entropy, above it less; all in all less, so it may want a higher learning rate.`;
}

/** Return the p_t at which focal without alpha pulls as hard as cross-entropy. */
export function crossesBelow(gamma) {
  const plain = termsOf({ kind: "cross_entropy" }, [0.5, 0.5]);
  const focal = termsOf({ kind: "focal", gamma }, [0.5, 0.5]);
  const isHarder = (margin) => Math.abs(lossAt(focal, 1, margin).slope) > Math.abs(lossAt(plain, 1, margin).slope);
  let [low, high] = [logit(1e-6), logit(0.6)];
  for (let round = 0; round < 60; round += 1) {
    const middle = (low + high) / 2;
    if (isHarder(middle)) low = middle;
    else high = middle;
  }
  return sigmoid(low);
}

function alphaTold({ alpha, gamma, prevalence }) {
  if (alpha === null) return null;
  if (alpha === "balanced") return `α is ${number(1 - prevalence)} on the rare class and ${number(prevalence)} on the other. Together with γ that may overshoot: tune both.`;
  const told = `α = ${number(alpha)} is the weight of the rare class, ${number(1 - alpha)} that of the common one`;
  if (alpha < 0.5) return `${told}: with γ = ${number(gamma)} rare rows count less than without α. The usual 0.25 was tuned for detectors, where γ has already silenced the many easy negatives. By frequency it would be ${number(1 - prevalence)}.`;
  return alpha === 0.5 ? `${told}: that is no weighting at all.` : `${told}: rare rows count ${number(alpha / (1 - alpha))} times as much. By frequency it would be ${number(1 - prevalence)}.`;
}

/** Return how hard Poly-1 pulls in comparison with cross-entropy, whose slope there is -0.5. */
function pullWhenUndecided(state) {
  return lossAt(termsOf(lossOf("poly", state), [0.5, 0.5]), 1, 0).slope / -0.5;
}
