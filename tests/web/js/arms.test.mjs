import assert from "node:assert/strict";
import { test } from "node:test";

import { atEpoch, firstSeries, heightOf, looksOf, pairsOf, pValue, reachOf, seriesNames, shortened, whole } from "../../../service/web/static/charts/arms.js";

const arm = (name, kind) => ({ arm: name, loss: { kind } });
const pair = (a, b, difference = 0.1) => ({ a, b, difference, low: difference - 0.02, high: difference + 0.02 });

test("arms of one loss share its colour and differ in shade", () => {
  const looks = looksOf([arm("a", "focal"), arm("b", "cross_entropy"), arm("c", "focal")]);

  assert.equal(looks.get("a"), "arm arm-0 loss-focal");
  assert.equal(looks.get("b"), "arm arm-0 loss-cross-entropy");
  assert.equal(looks.get("c"), "arm arm-1 loss-focal");
});

test("the leader's pairs are those it is part of, on either side", () => {
  const comparisons = [pair("a", "b"), pair("c", "a"), pair("b", "c")];
  const study = { comparisons, leaderboard: [{ arm: "a" }, { arm: "b" }, { arm: "c" }] };

  assert.deepEqual(pairsOf(study, false), comparisons.slice(0, 2));
  assert.deepEqual(pairsOf(study, true), comparisons);
});

test("an axis of differences holds every interval, zero and the band that does not matter", () => {
  const [low, high] = reachOf([pair("a", "b", 0.3), { a: "a", b: "c", difference: null, low: null, high: null }], 0.05);

  assert.ok(low < -0.05 && low > -0.08);
  assert.ok(high > 0.32 && high < 0.35);
});

test("without any pair there still is an axis", () => {
  const [low, high] = reachOf([], 0);

  assert.ok(low < 0 && high > 0);
});

test("names are cut only where they are too long", () => {
  assert.equal(shortened("focal", 5), "focal");
  assert.equal(shortened("focal(gamma=2)", 6), "focal…");
});

test("p-values do not pretend to be zero", () => {
  assert.equal(pValue(0.0001), "< 0.001");
  assert.equal(pValue(0.0312), "0.031");
  assert.equal(pValue(1), "1");
  assert.equal(pValue(null), "–");
});

test("the metric that arms are compared by is shown first where it was recorded", () => {
  const names = seriesNames([{ series: [{ name: "train/loss" }] }, { series: [{ name: "validation/log_loss" }, { name: "validation/average_precision" }] }]);

  assert.deepEqual(names, ["validation/average_precision", "validation/log_loss", "train/loss"]);
  assert.equal(firstSeries(names, "log_loss"), "validation/log_loss");
  assert.equal(firstSeries(names, "mcc"), "validation/average_precision");
  assert.equal(firstSeries([], "mcc"), null);
});

const SERIES = { points: [[1, 0.5, 0.4, 0.6, 3], [2, 0.6, 0.5, 0.7, 3], [4, 0.7, 0.7, 0.7, 1]] };

test("a curve is whole as far as all its runs went, and the rest goes on from there", () => {
  const [all, rest] = whole(SERIES);

  assert.deepEqual(all.map(([epoch]) => epoch), [1, 2]);
  assert.deepEqual(rest.map(([epoch]) => epoch), [2, 4]);
  assert.deepEqual(whole({ points: SERIES.points.slice(0, 2) })[1], []);
});

test("a curve is read at the last point before an epoch, and not beyond its end", () => {
  assert.equal(atEpoch(SERIES, 3)[0], 2);
  assert.equal(atEpoch(SERIES, 4)[0], 4);
  assert.equal(atEpoch(SERIES, 5), null);
  assert.equal(atEpoch(SERIES, 0), null);
});

test("a closer look leaves the beginning out, on the side where it is worse", () => {
  const rising = { points: Array.from({ length: 100 }, (_, index) => [index + 1, 1 - 1 / (index + 1), 1 - 1 / (index + 1), 1, 2]) };
  const falling = { points: rising.points.map(([epoch, mean, , , runs]) => [epoch, 1 - mean, 0, 1 - mean, runs]) };

  assert.equal(heightOf([rising], true, "max")[0], 0);
  assert.ok(heightOf([rising], false, "max")[0] > 0.8);
  assert.ok(heightOf([falling], false, "min")[1] < 0.2);
  assert.deepEqual(heightOf([], false, "max"), [0, 1]);
});

test("an arm that stays behind the others is seen to its end", () => {
  const points = (last) => Array.from({ length: 40 }, (_, index) => [index + 1, last + 1 / (index + 1), last, last + 2, 3]);
  const [lowest, highest] = heightOf([...[0.1, 0.11, 0.12, 0.13].map((last) => ({ points: points(last) })), { points: points(0.8) }], false, "min");

  assert.ok(lowest <= 0.1);
  assert.ok(highest >= 0.8 + 1 / 21);
  assert.ok(highest < 2);
});
