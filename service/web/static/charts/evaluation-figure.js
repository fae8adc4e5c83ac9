// A chart of an evaluation: follows the store its address names, and lets the threshold be moved on it.

import { MARGIN } from "./axes.js";
import { svg } from "./elements.js";
import { storeOf } from "./evaluation-store.js";
import { Figure } from "./figure.js";
import { reasonInWords } from "./operating.js";
import { fixed, score } from "./scales.js";

/** Subclasses give `missing()`: why there is nothing to draw, or null; and may give `mark()`, which moves only what the threshold moves. */
export class EvaluationFigure extends Figure {
  async load() {
    this.store = storeOf(this.dataset.src);
    await this.store.load();
    this.say("");
    this.follow = () => this.refresh();
    this.store.addEventListener("change", this.follow);
    this.refresh();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.store?.removeEventListener("change", this.follow);
  }

  isReady() {
    return Boolean(this.store?.evaluation) && this.missing() === null;
  }

  /** Draw anew where the curves are others, else only move the marks. */
  refresh() {
    this.note.textContent = this.about();
    const missing = this.missing();
    const shown = missing === null ? this.store.curves : missing;
    if (shown !== this.shown) {
      this.shown = shown;
      this.say(missing ?? "");
      if (missing === null && this.width) this.redraw();
    } else if (missing === null) this.mark();
    if (!this.listing.hidden) this.list();
  }

  missing() {
    return null;
  }

  redraw(width) {
    super.redraw(width);
    if (this.drawing()) this.mark();
  }

  mark() {}

  about() {
    return "";
  }

  /** Word a metric of the part shown with its interval, or why there is none. */
  worded(name) {
    const metric = this.store.metrics[name];
    if (!metric) return "–";
    if (metric.value === null) return `undefined: ${reasonInWords(metric.reason)}`;
    const interval = metric.low === null ? "" : ` (${fixed(metric.low)}–${fixed(metric.high)})`;
    return `${fixed(metric.value)}${interval}`;
  }
}

/** Return the size of the plot in a drawing of this width. */
export function frame(width, height) {
  return { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
}

/**
 * Let the threshold be moved on a drawing: by dragging anywhere on it, and by keys on its handle.
 *
 * `thresholdAt(x, y)` tells which threshold lies at a pixel of the drawing.
 */
export function movable(drawing, store, thresholdAt) {
  let isHeld = false;
  const move = (event) => {
    const box = drawing.getBoundingClientRect();
    const factor = drawing.viewBox.baseVal.width / box.width;
    store.go(thresholdAt((event.clientX - box.left) * factor, (event.clientY - box.top) * factor), false);
  };
  drawing.classList.add("chart-movable");
  // Not a picture any more: there is something in it to take hold of.
  drawing.setAttribute("role", "group");
  drawing.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    isHeld = true;
    drawing.setPointerCapture(event.pointerId);
    drawing.querySelector("[role=slider]")?.focus({ preventScroll: true });
    move(event);
    event.preventDefault();
  });
  drawing.addEventListener("pointermove", (event) => { if (isHeld) move(event); });
  for (const ending of ["pointerup", "pointercancel"]) {
    drawing.addEventListener(ending, () => {
      if (isHeld) store.go(store.threshold, true);
      isHeld = false;
    });
  }
}

const KEYS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity };

/** Return a handle for the threshold, which keys move: one step of the curve, ten, or to an end. */
export function handle(store, label, ...marks) {
  const group = svg("g", { class: "chart-handle", role: "slider", tabindex: "0", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "1" }, marks);
  group.addEventListener("keydown", (event) => {
    const steps = KEYS[event.key];
    if (steps === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    store.step(steps);
  });
  return group;
}

/** Tell assistive software where a handle is. */
export function announce(group, store, text) {
  group.setAttribute("aria-valuenow", String(Math.min(1, store.threshold)));
  group.setAttribute("aria-valuetext", `threshold ${score(store.threshold)}, ${text}`);
}
