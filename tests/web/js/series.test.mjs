import assert from "node:assert/strict";
import { test } from "node:test";

import { columnsOf, duration, firstMoment, panelsOf, weightOf } from "../../../service/web/static/charts/series.js";

const point = (epoch, value) => [10 * epoch, epoch, 1000 + epoch, value];
const line = (name, points) => ({ name, count: points.length, points, reduced: false, columns: ["step", "epoch", "time", "value"] });

test("a metric of training and validation rows shares a panel, and validation comes first", () => {
  const panels = panelsOf([line("train/loss", []), line("train/accuracy", []), line("validation/accuracy", [])]);

  assert.deepEqual(panels.map(({ metric, lines }) => [metric, lines.length]), [["accuracy", 2], ["loss", 1]]);
  assert.equal(panels[1].title, "Loss, train");
});

test("lines of different places are laid over one axis, with gaps", () => {
  const lines = [line("a", [point(1, 5), point(3, 7)]), line("b", [point(2, 1)])];

  const [epochs, raw, even, other] = columnsOf(lines, "epoch", 0, 0);

  assert.deepEqual([epochs, raw, even, other], [[1, 2, 3], [5, null, 7], [5, null, 7], [null, 1, null]]);
});

test("time begins with the first point of all", () => {
  const lines = [line("a", [point(1, 5), point(3, 7)])];

  assert.equal(firstMoment([line("none", []), ...lines]), 1001);
  assert.deepEqual(columnsOf(lines, "time", 0, 1001)[0], [0, 2]);
});

test("smoothing is the same on every axis", () => {
  const lines = [line("a", [point(1, 5), point(2, 9), point(3, 1)])];

  const [, , byEpoch] = columnsOf(lines, "epoch", 0.8, 1001);
  const [, , byTime] = columnsOf(lines, "time", 0.8, 1001);

  assert.deepEqual(byEpoch, byTime);
  assert.notDeepEqual(byEpoch, [5, 9, 1]);
});

test("the slider's weight is 0 at its start and never reaches 1", () => {
  assert.equal(weightOf(0), 0);
  assert.ok(weightOf(1) < 1);
});

test("seconds are worded", () => {
  assert.deepEqual([duration(0), duration(4.25), duration(75), duration(3720)], ["0 s", "4.3 s", "1:15 min", "1:02 h"]);
});
