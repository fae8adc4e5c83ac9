import assert from "node:assert/strict";
import { test } from "node:test";

import { wilson } from "../../../service/web/static/charts/intervals.js";

test("Wilson's interval of 2 among 20 is 2.8% to 30.1%", () => {
  const [low, high] = wilson(2, 20);

  assert.ok(Math.abs(low - 0.027867) < 1e-5);
  assert.ok(Math.abs(high - 0.301034) < 1e-5);
});

test("an interval holds its share, at the ends too", () => {
  for (const [hits, rows] of [[0, 50], [50, 50], [1, 3]]) {
    const [low, high] = wilson(hits, rows);
    assert.ok(low <= hits / rows && hits / rows <= high);
  }
  assert.deepEqual(wilson(0, 0), [0, 1]);
});
