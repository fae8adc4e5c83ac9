// One evaluation on the page, and what all its charts agree on: the part of the rows, the class, the threshold.

import { cellsOf, stepAt, stepsOf } from "./operating.js";

const stores = new Map();
const SETTLED_MS = 200;

/** Return the store of an evaluation's address; all elements with the same address share it. */
export function storeOf(source) {
  if (!stores.has(source)) stores.set(source, new EvaluationStore(source));
  return stores.get(source);
}

/**
 * Fires `change` when anything shown has changed, and `settled` when exact numbers for a threshold have come from the service.
 */
class EvaluationStore extends EventTarget {
  constructor(source) {
    super();
    this.source = source;
    this.evaluation = null;
    this.split = "validation";
    this.label = null;
    this.threshold = null;
    this.exact = null;
    this.prices = null;
  }

  /** Fetch the evaluation once, whoever asks first. */
  load() {
    this.loading ??= fetchJson(this.source).then((evaluation) => {
      this.evaluation = evaluation;
      this.begin(new URLSearchParams(location.hash.slice(1)));
      return this;
    });
    return this.loading;
  }

  begin(address) {
    if (address.get("part") === "test") this.split = "test";
    const labels = Object.keys(this.evaluation.splits.validation.class_curves);
    this.label = labels.includes(address.get("class")) ? address.get("class") : rarest(this.evaluation.splits.validation, labels);
    const asked = Number.parseFloat(address.get("threshold"));
    this.threshold = this.isBinary ? (asked >= 0 && asked <= 1 ? asked : this.chosen) : null;
    this.ask();
  }

  get isBinary() {
    return this.evaluation.splits.validation.curves !== null;
  }

  /** The job's own threshold; 0.5 where it has none. */
  get chosen() {
    return this.evaluation.threshold.value ?? 0.5;
  }

  get part() {
    return this.evaluation.splits[this.split];
  }

  /** The curves shown: of the positive class, or of the class picked. */
  get curves() {
    return this.isBinary ? this.part.curves : this.part.class_curves[this.label];
  }

  /** The name of the positive class, or of the class picked. */
  get positive() {
    return this.isBinary ? positiveLabel(this.part) : this.label;
  }

  /** The metrics the curves are about. */
  get metrics() {
    return this.isBinary ? this.part.metrics : this.part.per_class[this.label];
  }

  /** Rows of the positive class and of the rest. */
  get rows() {
    const sum = (counts) => counts.reduce((total, each) => total + each, 0);
    const { positives, negatives } = this.curves.score_histogram;
    return { positives: sum(positives), negatives: sum(negatives) };
  }

  get steps() {
    if (this.cachedCurves !== this.curves) {
      const { positives, negatives } = this.rows;
      this.cachedCurves = this.curves;
      this.cachedSteps = stepsOf(this.curves.roc, positives, negatives);
    }
    return this.cachedSteps;
  }

  get index() {
    return this.stepIndex(this.threshold);
  }

  /** Return the step of the curve that a threshold belongs to. */
  stepIndex(threshold) {
    return stepAt(this.steps, threshold);
  }

  /** The confusion cells at the threshold: the service's own where they have come, else from the curve. */
  get cells() {
    if (this.exact !== null) return this.exact[this.split].cells;
    return this.steps === null ? null : cellsOf(this.steps, this.index);
  }

  /** Return what `place` makes of the cells at another threshold. */
  stepPlace(place, threshold) {
    return this.steps === null ? null : place(cellsOf(this.steps, stepAt(this.steps, threshold)));
  }

  /** Tell that the cells are as exact as the rows: not read from a thinned curve. */
  get isExact() {
    return this.exact !== null || this.steps === null || this.steps.is_whole;
  }

  /** Go to a threshold; `isFinal` is false while it is still being dragged. */
  go(threshold, isFinal = true) {
    if (threshold !== this.threshold) {
      this.threshold = threshold;
      this.exact = null;
      this.changed();
    }
    if (isFinal) this.ask();
  }

  /** Go up or down by so many steps of the curve. */
  step(count) {
    const last = this.steps.thresholds.length - 1;
    this.go(this.steps.thresholds[Math.min(last, Math.max(0, this.index - count))]);
  }

  show(split) {
    this.split = split;
    this.changed();
    this.remember();
  }

  pick(label) {
    this.label = label;
    this.changed();
    this.remember();
  }

  price(prices) {
    this.prices = prices;
    this.changed();
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  /** Ask the service for the exact cells and their intervals once the threshold rests, and keep it in the address. */
  ask() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.settle(), SETTLED_MS);
  }

  async settle() {
    this.remember();
    // Above 1 nothing is called positive, on whichever rows: there is nothing to ask.
    if (!this.isBinary || this.steps === null || this.threshold > 1) return;
    const asked = this.threshold;
    const point = await fetchJson(`${this.source.replace(/\/evaluation$/, "")}/operating-point?threshold=${asked}`).catch(() => null);
    // The curve's numbers stay where the service has none, or was asked about a threshold that is no longer in force.
    if (point === null || asked !== this.threshold) return;
    this.exact = Object.fromEntries(Object.entries(point.splits).map(([split, found]) => [split, exactOf(found, point.positive_label)]));
    this.changed();
  }

  remember() {
    // After the #, which the server does not see: it refuses parameters it does not know.
    const shown = new URLSearchParams();
    if (this.split === "test") shown.set("part", "test");
    if (this.isBinary && this.threshold !== this.chosen) shown.set("threshold", String(this.threshold));
    if (!this.isBinary) shown.set("class", this.label);
    history.replaceState(history.state, "", `${location.pathname}${location.search}${String(shown) && "#"}${shown}`);
  }
}

function exactOf({ confusion, metrics }, positive) {
  const yes = confusion.labels.indexOf(positive);
  const [[tn, fp], [fn, tp]] = yes === 1 ? confusion.counts : confusion.counts.toReversed().map((row) => row.toReversed());
  return { cells: { tp, fp, fn, tn }, metrics };
}

/** Return the class the binary metrics are about: the one that has the positive rows and the whole's numbers. */
export function positiveLabel(part) {
  const positives = part.curves.score_histogram.positives.reduce((total, each) => total + each, 0);
  const able = part.classes.filter(({ count }) => count === positives).map(({ label }) => label);
  const same = (label) => ["precision", "recall", "f1"].every((name) => part.per_class[label][name]?.value === part.metrics[name]?.value);
  return able.find(same) ?? able[0] ?? "positive";
}

function rarest(part, labels) {
  const known = part.classes.filter(({ label }) => labels.includes(label));
  return known.sort((one, other) => one.count - other.count)[0]?.label ?? null;
}

/** Fetch JSON; a problem becomes an error that says what the service said. */
export async function fetchJson(address, options = {}) {
  const answer = await fetch(address, { headers: { Accept: "application/json" }, ...options });
  if (answer.ok) return answer.json();
  const problem = await answer.json().catch(() => null);
  throw Object.assign(new Error(problem?.detail ?? `the service answered ${answer.status}`), { status: answer.status });
}
