import assert from "node:assert/strict";
import { test } from "node:test";

import { aurocOf, calibratedRows, gradientShares } from "../../../service/web/static/charts/gradient.js";
import { KINDS, logit, lossAt, lossAtProbability, sigmoid, termsOf } from "../../../service/web/static/charts/losses.js";

const SHARES = [0.9, 0.1];
const near = (found, expected, tolerance = 1e-12) => assert.ok(Math.abs(found - expected) <= tolerance, `${found} is not ${expected}`);

test("the slope of every loss is the change of its value", () => {
  const step = 1e-5;
  for (const kind of KINDS) {
    const terms = termsOf({ kind }, SHARES);
    for (const target of [0, 1]) {
      for (const margin of [-6, -1, 0, 0.3, 2, 8]) {
        const change = (lossAt(terms, target, margin + step).value - lossAt(terms, target, margin - step).value) / (2 * step);
        near(lossAt(terms, target, margin).slope, change, 1e-8);
      }
    }
  }
});

test("without their own parameters the losses are cross-entropy to the bit", () => {
  const plain = termsOf({ kind: "cross_entropy" }, SHARES);
  const others = [{ kind: "focal", gamma: 0 }, { kind: "poly", epsilon: 0 }, { kind: "logit_adjusted", tau: 0 }, { kind: "focal", gamma: 0, alpha: 0.5 }];

  for (const loss of others) {
    for (const p of [0.001, 0.3, 0.999]) assert.deepEqual(lossAtProbability(termsOf(loss, SHARES), 1, p), lossAtProbability(plain, 1, p));
  }
});

test("at p_t = 0.9, gamma 2 keeps 1% of cross-entropy and gamma 4 keeps 0.01%", () => {
  const kept = (gamma) => lossAtProbability(termsOf({ kind: "focal", gamma }, SHARES), 1, 0.9).value / -Math.log(0.9);

  near(kept(2), 0.01);
  near(kept(4), 0.0001);
});

test("alpha 0.25 weighs the rare class less than no alpha, inverse frequency more", () => {
  const weight = (alpha) => termsOf({ kind: "focal", alpha }, SHARES).weights[1];

  assert.ok(weight(0.25) < 1);
  assert.ok(weight(0.9) > 1);
  near(weight("balanced"), 5);
});

test("balanced weights give each class half of the loss", () => {
  const { weights } = termsOf({ kind: "balanced_cross_entropy" }, SHARES);

  near(weights[0] * 0.9, 0.5);
  near(weights[1] * 0.1, 0.5);
});

test("nothing overflows where p_t rounds to 0 or 1", () => {
  for (const kind of KINDS) {
    for (const margin of [-800, -40, 40, 800]) {
      const { value, slope } = lossAt(termsOf({ kind, gamma: 0.5 }, SHARES), 1, margin);
      assert.ok(Number.isFinite(value) && Number.isFinite(slope), kind);
    }
  }
});

test("probability and margin are each other's inverse", () => {
  for (const p of [1e-9, 0.2, 0.5, 0.999]) near(sigmoid(logit(p)), p);
});

test("the shares of the gradient are a whole, and gamma moves it to hard rows", () => {
  const rows = calibratedRows(0.05, 1.8);
  const shares = (loss) => gradientShares(termsOf(loss, [0.95, 0.05]), rows);
  const hard = (loss) => shares(loss).rare_hard + shares(loss).common_hard;

  near(Object.values(shares({ kind: "focal" })).reduce((sum, share) => sum + share, 0), 1);
  assert.ok(hard({ kind: "focal", gamma: 4 }) > hard({ kind: "focal", gamma: 1 }));
  assert.ok(hard({ kind: "focal", gamma: 1 }) > hard({ kind: "cross_entropy" }));
});

test("the rows of the model of the explorer are calibrated: their class shares are what their scores say", () => {
  const rows = calibratedRows(0.2, 1.5);
  const mass = (chosen) => rows.filter(chosen).reduce((sum, row) => sum + row.mass, 0);
  const expected = rows.reduce((sum, { target, margin, mass: own }) => sum + own * sigmoid(target === 1 ? margin : -margin), 0);

  near(mass(() => true), 1, 1e-5);
  near(mass(({ target }) => target === 1), 0.2, 1e-5);
  near(expected, 0.2, 1e-4);
});

test("a model without separation has an AUROC of a half, and two deviations give 0.921", () => {
  near(aurocOf(0), 0.5, 1e-7);
  near(aurocOf(2), 0.9213504, 1e-6);
});
