import assert from "node:assert/strict";
import { test } from "node:test";

import { count, number, percent, powerTicks, rounded, scale, score, tickLabel, ticks } from "../../../service/web/static/charts/scales.js";

test("a scale goes to pixels and back", () => {
  for (const [kind, domain] of [["linear", [-2, 6]], ["log", [0.001, 100]], ["symlog", [0, 5000]]]) {
    const place = scale(domain, [40, 440], kind);

    assert.equal(place(domain[0]), 40);
    assert.equal(place(domain[1]), 440);
    for (const share of [0.1, 0.5, 0.9]) assert.ok(Math.abs(place(place.invert(40 + 400 * share)) - (40 + 400 * share)) < 1e-9);
  }
});

test("an axis that points up is one whose range falls", () => {
  const place = scale([0, 1], [200, 0]);

  assert.deepEqual([place(0), place(0.25), place(1)], [200, 150, 0]);
});

test("a domain without width has one place, the middle", () => {
  assert.equal(scale([3, 3], [0, 100])(3), 50);
});

test("ticks are round, inside and evenly spaced", () => {
  assert.deepEqual(ticks(0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(ticks(0.13, 0.41), [0.2, 0.3, 0.4]);
  assert.deepEqual(ticks(-3, 7, 4), [0, 5]);
  assert.deepEqual(ticks(0, 120), [0, 50, 100]);
  assert.deepEqual(ticks(5, 5), [5]);
});

test("no tick carries the noise of its sum", () => {
  for (const [low, high] of [[0, 0.3], [0.0001, 0.0007], [12345, 12346]]) {
    for (const value of ticks(low, high)) assert.ok(String(value).length < 9, String(value));
  }
});

test("ticks of a log axis are powers of ten, thinned where there are many, from 0 where it begins there", () => {
  assert.deepEqual(powerTicks(0.01, 100), [0.01, 0.1, 1, 10, 100]);
  assert.deepEqual(powerTicks(0, 5000), [0, 1, 10, 100, 1000]);
  assert.deepEqual(powerTicks(1e-8, 1e8, 5), [1e-8, 1e-4, 1, 1e4, 1e8]);
});

test("a rounded domain holds the values and has width", () => {
  assert.deepEqual(rounded(0.13, 0.87), [0, 1]);
  assert.deepEqual(rounded(2, 2), [1, 3]);
  assert.deepEqual(rounded(0, 0), [-0.5, 0.5]);
});

test("numbers are worded for people", () => {
  assert.equal(number(0.123456), "0.123");
  assert.equal(number(-1234.5), "−1,230");
  assert.equal(number(null), "–");
  assert.equal(number(Number.NaN), "–");
  assert.equal(number(1.5e-7), "1.50e−7");
  assert.equal(count(11183), "11,183");
  assert.equal(percent(0.0232), "2.32%");
  assert.equal(tickLabel(20000), "20k");
  assert.equal(tickLabel(0.30000000000000004), "0.3");
});

test("a threshold's wording tells neighbours near an end apart", () => {
  assert.equal(score(0.5), "0.500");
  assert.equal(score(0.00123), "0.00123");
  assert.equal(score(0), "0.000");
  assert.notEqual(score(0.99991), score(0.99992));
  assert.equal(score(1.0000000000000002), "none");
});
