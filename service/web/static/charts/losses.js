// The one formula behind every loss, over two classes, as the trainer computes it. No DOM.
//
// For logits z, true class t, weight w, shift b, margin m, scale s, focusing gamma and poly epsilon:
//
//   u = s (z + b - m_t onehot(t));   d = u_t - u_other
//   L = -ln p = softplus(-d);   ln q = ln(1 - p) = -softplus(d)
//   loss = w_t q^gamma (L + epsilon q)
//
// Terms are `{weights, shift, margin}`, two numbers each (the common class first, the rare one second), and `{scale, gamma,
// epsilon, smoothing}`, as `counterweight.contracts.losses.LossTerms` has them.

const NEUTRAL = { weights: [1, 1], shift: [0, 0], margin: [0, 0], scale: 1, gamma: 0, epsilon: 0, smoothing: 0 };

/** Return the terms of a loss `{kind, …}` on classes with these shares (two numbers that sum to 1). */
export function termsOf(loss, shares) {
  return { ...NEUTRAL, ...TERMS[loss.kind](loss, shares) };
}

export const KINDS = [
  "cross_entropy",
  "balanced_cross_entropy",
  "focal",
  "logit_adjusted",
  "balanced_softmax",
  "ldam",
  "poly",
];

const TERMS = {
  cross_entropy: ({ label_smoothing: smoothing = 0 }) => ({ smoothing }),
  balanced_cross_entropy: ({ weights = "inverse_frequency" }, shares) => {
    const power = weights === "sqrt_inverse_frequency" ? -0.5 : -1;
    const given = typeof weights === "string" ? shares.map((share) => share ** power) : weights;
    return { weights: meanOne(given, shares) };
  },
  focal: ({ gamma = 2, alpha = null }, shares) => ({ gamma, ...(alpha === null ? {} : { weights: meanOne(alphas(alpha, shares), shares) }) }),
  logit_adjusted: ({ tau = 1 }, shares) => ({ shift: shares.map((share) => tau * Math.log(share)) }),
  balanced_softmax: (_, shares) => ({ shift: shares.map((share) => Math.log(share)) }),
  ldam: ({ max_margin: largest = 0.5, scale = 30 }, shares) => {
    const rarest = Math.min(...shares);
    return { scale, margin: shares.map((share) => largest * (share / rarest) ** -0.25) };
  },
  poly: ({ epsilon = 1, gamma = 0 }) => ({ epsilon, gamma }),
};

/** Return alpha by class: of the rare class as given and the rest of 1 for the other, or by inverse frequency. */
function alphas(alpha, shares) {
  return alpha === "balanced" ? [shares[1], shares[0]] : [1 - alpha, alpha];
}

/** Scale weights so that their mean over the rows is 1. */
function meanOne(weights, shares) {
  const mean = weights[0] * shares[0] + weights[1] * shares[1];
  return weights.map((weight) => weight / mean);
}

/**
 * Return the loss of a row of class `target`, and its slope, against `margin`: the scaled logit of its class minus that of the other.
 *
 * sigmoid(margin) is p_t, the probability the model gives to the true class; shift and margin move where the loss looks from there.
 */
export function lossAt(terms, target, margin) {
  const other = 1 - target;
  const moved = margin + terms.scale * (terms.shift[target] - terms.shift[other]);
  const hard = asIf(terms, target, moved);
  if (terms.smoothing === 0) return hard;
  const flipped = asIf(terms, other, -moved);
  const mix = (own, against) => (1 - terms.smoothing) * own + (terms.smoothing * (own + against)) / 2;
  return { value: mix(hard.value, flipped.value), slope: mix(hard.slope, -flipped.slope) };
}

/** Return the loss and slope a row has if its class is `target`, before smoothing. */
function asIf(terms, target, moved) {
  const d = moved - terms.scale * terms.margin[target];
  const surprise = softplus(-d);
  // ln q from the margin stays exact where p rounds to 1; 1 - p would not.
  const logMiss = -softplus(d);
  const [p, q] = [Math.exp(-surprise), Math.exp(logMiss)];
  const focus = terms.weights[target] * Math.exp(terms.gamma * logMiss);
  const inner = surprise + terms.epsilon * q;
  return { value: focus * inner, slope: -focus * (q + terms.gamma * p * inner + terms.epsilon * p * q) };
}

/** Return the same against p_t itself: slope is d loss / d p_t. */
export function lossAtProbability(terms, target, p) {
  const { value, slope } = lossAt(terms, target, logit(p));
  return { value, slope: slope / (p * (1 - p)) };
}

export function logit(p) {
  return Math.log(p) - Math.log1p(-p);
}

export function sigmoid(z) {
  return z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z));
}

function softplus(x) {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}
