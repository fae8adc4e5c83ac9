// <cw-threshold data-src="/api/v1/jobs/…/evaluation">: the threshold all charts of an evaluation share, and what it comes to.

import { html, segmented } from "./elements.js";
import { storeOf } from "./evaluation-store.js";
import { cheapestStep, costOf, metricsOf, placeOf, reasonInWords, stepAtPlace } from "./operating.js";
import { count, fixed, number, score } from "./scales.js";

const SHOWN = [["precision", "Precision"], ["recall", "Recall"], ["f1", "F1"], ["mcc", "MCC"], ["specificity", "Specificity"]];
const CELLS = [["tp", "found"], ["fn", "missed"], ["fp", "false alarms"], ["tn", "rightly left"]];
const POLICIES = {
  max_f1: "highest F1",
  max_mcc: "highest MCC",
  max_balanced_accuracy: "highest balanced accuracy",
  precision_floor: "precision floor",
  recall_floor: "recall floor",
  min_cost: "lowest cost",
  fixed: "fixed",
  top_k: "top k",
};

class Threshold extends HTMLElement {
  connectedCallback() {
    if (this.store) return;
    this.classList.add("chart", "chart-threshold-panel");
    this.store = storeOf(this.dataset.src);
    this.textContent = "Loading…";
    this.store.load().then(
      () => this.build(),
      (problem) => (this.textContent = problem.message),
    );
  }

  build() {
    const { store } = this;
    this.split = segmented("Part of the rows", [["validation", "Validation"], ["test", "Test"]], store.split, (split) => store.show(split));
    this.tiles = html("dl", { class: "chart-tiles" });
    const head = html("div", { class: "chart-head" }, html("h3", {}, store.isBinary ? "Threshold" : "Class"), this.split);
    this.replaceChildren(head, ...(store.isBinary ? this.binary() : [this.picker()]), this.tiles);
    store.addEventListener("change", () => this.refresh());
    this.refresh();
  }

  binary() {
    const { store } = this;
    this.slider = html("input", { type: "range", min: 0, max: 1, step: "any", class: "chart-slider", "aria-label": "Threshold", oninput: () => this.slide(false), onchange: () => this.slide(true) });
    this.slider.addEventListener("keydown", (event) => this.keyed(event));
    this.value = html("input", { type: "number", min: 0, max: 1, step: "any", class: "chart-number", "aria-label": "Threshold as a number", onchange: () => this.typed() });
    this.reset = html("button", { type: "button", class: "chart-quiet chart-reset", onclick: () => store.go(store.chosen) });
    this.marks = html("div", { class: "chart-slider-marks", "aria-hidden": "true" });
    this.homeMark = html("span", { class: "chart-home-mark" });
    this.cheapMark = html("span", { class: "chart-cheap-mark", hidden: true });
    this.marks.append(this.homeMark, this.cheapMark);
    this.cells = html("ul", { class: "chart-cells" });
    return [
      html("div", { class: "chart-slider-row" }, this.value, html("div", { class: "chart-track" }, this.slider, this.marks), this.reset),
      this.cells,
      this.costs(),
    ];
  }

  costs() {
    const price = (label, value) => html("input", { type: "number", min: 0, step: "any", value, class: "chart-number", "aria-label": label, oninput: () => this.priced() });
    this.missPrice = price("Price of a miss", "");
    this.alarmPrice = price("Price of a false alarm", "1");
    this.missPrice.placeholder = "10";
    this.cheapest = html("output", { class: "chart-cheapest-told" });
    this.useCheapest = html("button", { type: "button", class: "chart-quiet", hidden: true, onclick: () => this.store.go(this.store.steps.thresholds[this.cheapestIndex]) }, "Go there");
    return html("div", { class: "chart-costs" }, html("label", {}, "If a miss costs ", this.missPrice), html("label", {}, " and a false alarm ", this.alarmPrice), this.cheapest, this.useCheapest);
  }

  picker() {
    const { store } = this;
    const options = store.part.classes.map(({ label }) => html("option", { value: label, selected: label === store.label }, label));
    return html("label", { class: "chart-picker" }, "Curves of class ", html("select", { onchange: (event) => store.pick(event.target.value) }, options), " against the rest");
  }

  slide(isFinal) {
    const { steps } = this.store;
    this.store.go(steps.thresholds[stepAtPlace(steps, 1 - this.slider.valueAsNumber)], isFinal);
  }

  /** Between two steps an arrow goes to the next one that changes something, not to the one it stands on. */
  keyed(event) {
    const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity }[event.key];
    if (steps === undefined) return;
    event.preventDefault();
    this.store.step(steps);
  }

  typed() {
    const asked = this.value.valueAsNumber;
    // What is no probability becomes the nearest one, and nothing what was there before: the box never says other than the charts.
    if (Number.isFinite(asked)) this.store.go(Math.min(1, Math.max(0, asked)));
    this.tellNumber();
  }

  tellNumber() {
    const told = score(this.store.threshold);
    this.value.value = told === "none" ? "" : String(Number(told));
  }

  priced() {
    const [miss, alarm] = [this.missPrice.valueAsNumber, this.alarmPrice.valueAsNumber];
    this.store.price(miss >= 0 && alarm >= 0 && miss + alarm > 0 ? [miss, alarm] : null);
  }

  refresh() {
    const { store } = this;
    this.split.press(store.split);
    if (store.isBinary) this.refreshSlider();
    this.tiles.replaceChildren(...this.numbers().map(([name, metric]) => tile(name, metric)));
  }

  refreshSlider() {
    const { store } = this;
    const hasSteps = store.steps !== null;
    this.slider.disabled = !hasSteps;
    if (document.activeElement !== this.value) this.tellNumber();
    this.value.placeholder = "none";
    const { policy, value, reason } = store.evaluation.threshold;
    const isHome = store.threshold === store.chosen;
    this.reset.disabled = isHome;
    this.reset.textContent = value === null ? `0.5: ${reasonInWords(reason)}` : `${isHome ? "Chosen" : "Back to"}: ${score(value)}, ${POLICIES[policy] ?? policy}`;
    if (!hasSteps) return;
    if (document.activeElement !== this.slider || !this.slider.matches(":active")) this.slider.value = 1 - placeOf(store.steps, store.index);
    this.slider.setAttribute("aria-valuetext", score(store.threshold));
    this.homeMark.style.setProperty("--place", 1 - placeOf(store.steps, store.stepIndex(store.chosen)));
    const cells = store.cells;
    this.cells.replaceChildren(...CELLS.map(([name, words]) => html("li", { class: `chart-cell-${name}` }, html("strong", {}, count(cells[name])), ` ${words}`)));
    this.cells.classList.toggle("chart-rough", !store.isExact);
    this.refreshCosts();
  }

  refreshCosts() {
    const { store } = this;
    const isPriced = store.prices !== null;
    this.cheapMark.hidden = !isPriced;
    this.useCheapest.hidden = !isPriced;
    if (!isPriced) {
      this.cheapest.textContent = "";
      return;
    }
    this.cheapestIndex = cheapestStep(store.steps, ...store.prices);
    const least = store.stepPlace((cells) => costOf(cells, ...store.prices), store.steps.thresholds[this.cheapestIndex]);
    const now = costOf(store.cells, ...store.prices);
    this.cheapMark.style.setProperty("--place", 1 - placeOf(store.steps, this.cheapestIndex));
    this.cheapest.textContent = `cheapest at ${score(store.steps.thresholds[this.cheapestIndex])}: ${number(least)} a row, now ${number(now)}`;
    this.useCheapest.disabled = this.cheapestIndex === store.index;
  }

  /** Return what the tiles show: at the threshold for two classes, of the class picked for several. */
  numbers() {
    const { store } = this;
    if (!store.isBinary) return [["average_precision", "AP"], ...SHOWN].filter(([name]) => store.metrics[name]).map(([name, title]) => [title, store.metrics[name]]);
    if (store.exact !== null) return SHOWN.map(([name, title]) => [title, store.exact[store.split].metrics[name]]);
    if (store.steps === null) return SHOWN.map(([name, title]) => [title, store.metrics[name]]);
    const found = metricsOf(store.cells);
    return SHOWN.map(([name, title]) => [title, found[name]]);
  }
}

function tile(name, metric) {
  const isKnown = metric.value !== null;
  const interval = metric.low === null || metric.low === undefined ? "" : `${fixed(metric.low)}–${fixed(metric.high)}`;
  return html(
    "div",
    {},
    html("dt", {}, name),
    html("dd", { class: isKnown ? null : "chart-undefined" }, isKnown ? fixed(metric.value) : "undefined"),
    html("dd", { class: "chart-interval" }, isKnown ? interval : reasonInWords(metric.reason)),
  );
}

customElements.define("cw-threshold", Threshold);
