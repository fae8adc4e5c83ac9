import assert from "node:assert/strict";
import { test } from "node:test";

import { cellsAt, cheapestStep, costOf, metricsOf, placeOf, reasonInWords, stepAt, stepAtPlace, stepsOf } from "../../../service/web/static/charts/operating.js";

// Scores 0.9 (positive), 0.6 (positive and negative), 0.2 (two negatives).
const ROC = { thresholds: [1.0000000000000002, 0.9, 0.6, 0.2], true_positive_rate: [0, 0.5, 1, 1], false_positive_rate: [0, 0, 1 / 3, 1] };
const STEPS = stepsOf(ROC, 2, 3);

test("a row is called positive from the threshold on", () => {
  assert.deepEqual(cellsAt(STEPS, 0.9), { tp: 1, fp: 0, fn: 1, tn: 3 });
  assert.deepEqual(cellsAt(STEPS, 0.90001), { tp: 0, fp: 0, fn: 2, tn: 3 });
  assert.deepEqual(cellsAt(STEPS, 0.5), { tp: 2, fp: 1, fn: 0, tn: 2 });
  assert.deepEqual(cellsAt(STEPS, 0), { tp: 2, fp: 3, fn: 0, tn: 0 });
});

test("every threshold belongs to one step", () => {
  assert.deepEqual([2, 0.9, 0.7, 0.6, 0.3, 0.2, 0.1].map((threshold) => stepAt(STEPS, threshold)), [0, 1, 1, 2, 2, 3, 3]);
});

test("an undefined metric is null with its reason", () => {
  const none = metricsOf(cellsAt(STEPS, 2));

  assert.deepEqual(none.precision, { value: null, reason: "no_predicted_positive" });
  assert.deepEqual(none.mcc, { value: null, reason: "no_predicted_positive" });
  assert.deepEqual(none.recall, { value: 0, reason: null });
  assert.deepEqual(metricsOf({ tp: 0, fp: 0, fn: 0, tn: 4 }).recall, { value: null, reason: "no_positive" });
  assert.deepEqual(metricsOf({ tp: 0, fp: 0, fn: 0, tn: 4 }).f1, { value: null, reason: "zero_denominator" });
});

test("without a curve there are no steps", () => {
  assert.equal(stepsOf(null, 0, 9), null);
});

test("dear misses make the low threshold cheapest, dear false alarms the high one", () => {
  assert.equal(cheapestStep(STEPS, 10, 1), 2);
  assert.equal(cheapestStep(STEPS, 1, 10), 1);
  assert.equal(costOf(cellsAt(STEPS, 0.5), 10, 1), 1 / 5);
});

test("a reason is told in words, and one that is not known as it came", () => {
  assert.equal(reasonInWords("no_positive"), "no rows of this class");
  assert.equal(reasonInWords("class_absent:a:b"), "class a:b has no rows");
  assert.equal(reasonInWords("moon"), "moon");
});

test("the slider's places run from no row to all, and lead back to their steps", () => {
  const places = STEPS.thresholds.map((_, index) => placeOf(STEPS, index));

  assert.deepEqual([places[0], places.at(-1)], [0, 1]);
  assert.deepEqual(places, places.toSorted((one, other) => one - other));
  places.forEach((place, index) => assert.equal(stepAtPlace(STEPS, place), index));
  assert.equal(stepAtPlace(STEPS, places[1] + 0.01), 1);
  assert.equal(stepAtPlace(STEPS, places[2] - 0.01), 2);
});
