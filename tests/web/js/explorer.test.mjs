import assert from "node:assert/strict";
import { test } from "node:test";

import { DEFAULTS, fragmentOf, lossOf, stateOf } from "../../../service/web/static/charts/explorer-state.js";
import { crossesBelow, lessonsOf } from "../../../service/web/static/charts/lessons.js";

test("an address that says nothing shows the defaults, and the defaults need no words", () => {
  assert.deepEqual(stateOf(""), DEFAULTS);
  assert.equal(fragmentOf(DEFAULTS), "");
});

test("a state comes back from its address", () => {
  const state = { ...DEFAULTS, losses: ["focal", "ldam"], gamma: 3.5, alpha: 0.25, prevalence: 0.012, axis: "margin", job: "job_01ABC" };

  assert.deepEqual(stateOf(fragmentOf(state)), state);
  assert.deepEqual(stateOf(fragmentOf({ ...DEFAULTS, alpha: "balanced", losses: [] })), { ...DEFAULTS, alpha: "balanced", losses: [] });
});

test("what an address says wrongly is as if it said nothing", () => {
  assert.deepEqual(stateOf("gamma=900&alpha=7&axis=up&job=<b>&prevalence=x&separation=-1"), DEFAULTS);
  assert.deepEqual(stateOf("losses=focal,nonsense").losses, ["focal"]);
});

test("a loss has its own parameters and no others", () => {
  assert.deepEqual(lossOf("focal", DEFAULTS), { kind: "focal", gamma: 2, alpha: null });
  assert.deepEqual(lossOf("balanced_softmax", DEFAULTS), { kind: "balanced_softmax" });
});

test("focal pulls harder than cross-entropy below 0.368 with gamma 1, 0.298 with 2, 0.197 with 5", () => {
  for (const [gamma, expected] of [[1, 0.368], [2, 0.298], [5, 0.197]]) assert.ok(Math.abs(crossesBelow(gamma) - expected) < 1e-3);
});

test("alpha under a half beside gamma is told to weigh the rare class down", () => {
  const told = (alpha) => lessonsOf({ ...DEFAULTS, losses: ["focal"], alpha }).map(({ text }) => text).join(" ");

  assert.match(told(0.25), /rare rows count less than without α/);
  assert.doesNotMatch(told(0.9), /count less/);
  assert.match(told(null), /keeps 1% of cross-entropy/);
});
