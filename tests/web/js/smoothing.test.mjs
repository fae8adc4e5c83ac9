import assert from "node:assert/strict";
import { test } from "node:test";

import { smooth, unit } from "../../../service/web/static/charts/smoothing.js";

test("a constant series stays constant to the last bit", () => {
  const constant = Array(500).fill(0.1 + 0.2);

  for (const weight of [0.1, 0.6, 0.9, 0.999]) assert.deepEqual(smooth(constant, weight), constant);
});

test("without weight the values stay as they are", () => {
  assert.deepEqual(smooth([3, 1, 2], 0), [3, 1, 2]);
});

test("the first value is itself, the second weighs more than it by the fall of the weights", () => {
  const [first, second, third] = smooth([1, 0, 0], 0.5);

  assert.equal(first, 1);
  assert.ok(Math.abs(second - 0.5 / 1.5) < 1e-15);
  assert.ok(Math.abs(third - 0.25 / 1.75) < 1e-15);
});

test("it is the exponential average divided by its bias", () => {
  const values = Array.from({ length: 60 }, (_, index) => Math.sin(index) + index / 30);
  let average = 0;
  const expected = values.map((value, index) => {
    average = 0.9 * average + 0.1 * value;
    return average / (1 - 0.9 ** (index + 1));
  });

  smooth(values, 0.9).forEach((value, index) => assert.ok(Math.abs(value - expected[index]) < 1e-12));
});

test("a thinned series forgets by distance, not by point", () => {
  const [, whole] = smooth([1, 0], 0.5, [0, 4]);

  assert.ok(Math.abs(whole - 0.0625 / 1.0625) < 1e-15);
});

test("a gap stays a gap and is passed over", () => {
  assert.deepEqual(smooth([2, null, 2], 0.9), [2, null, 2]);
});

test("the unit of a thinned series is the step of the whole one", () => {
  assert.equal(unit([0, 10, 20], 5), 5);
  assert.equal(unit([7], 1), 1);
});
