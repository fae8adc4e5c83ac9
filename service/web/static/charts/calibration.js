// <cw-calibration data-src="/api/v1/jobs/…/evaluation">: what was predicted against what came, bin by bin.

import { across, axes, canvas, line } from "./axes.js";
import { html, segmented, svg } from "./elements.js";
import { EvaluationFigure, frame } from "./evaluation-figure.js";
import { wilson } from "./intervals.js";
import { reasonInWords } from "./operating.js";
import { count, fixed, number, scale } from "./scales.js";

const BARS = 34;
const LOG_BELOW = 0.1;
const KINDS = { raw: "As trained", corrected: "Corrected for the loss", fitted: "Fitted" };
const METHODS = { platt: "Platt", temperature: "temperature", beta: "beta", isotonic: "isotonic" };
const NEEDS = { beta: "needs 20 rows of each class", isotonic: "needs 1,000 rows, 100 of each class" };

/** Say why the validation rows allow a way no fit. */
function absence({ method, reason }) {
  if (reason !== "too_few") return `not possible: ${reasonInWords(reason)}`;
  return NEEDS[method] ?? "needs 5 rows of each class";
}

class Calibration extends EvaluationFigure {
  heading = "Calibration";
  kind = null;

  build() {
    super.build();
    const choose = (kind) => {
      this.kind = kind;
      this.choice.press(kind);
      this.redraw();
    };
    this.choice = segmented("Scale of the probabilities", [["log", "Log"], ["linear", "Linear"]], "linear", choose);
    this.controls.append(this.choice);
    this.change = html("div", { class: "chart-change" });
    this.append(this.change);
  }

  refresh() {
    if (this.kind === null) {
      const { positives, negatives } = this.store.rows;
      this.kind = positives / (positives + negatives) < LOG_BELOW ? "log" : "linear";
      this.choice.press(this.kind);
    }
    super.refresh();
    this.change.replaceChildren(this.candidates());
  }

  about() {
    if (!this.store.isBinary) return `Class ${this.store.positive} against the rest; the figures below are of all classes`;
    return `ECE ${this.worded("ece")}, Brier ${this.worded("brier")}`;
  }

  bins() {
    const { predicted, observed, counts } = this.store.curves.calibration;
    return predicted.map((value, index) => {
      const hits = Math.round(observed[index] * counts[index]);
      const [low, high] = wilson(hits, counts[index]);
      return { predicted: value, observed: observed[index], rows: counts[index], low, high };
    });
  }

  draw(width) {
    const height = Math.round(Math.min(340, Math.max(250, width * 0.78)));
    const { left, right, top, bottom: ground } = frame(width, height);
    const bottom = ground - BARS;
    const bins = this.bins();
    const domain = this.kind === "log" ? [lowest(bins), 1] : [0, 1];
    const x = scale(domain, [left, right], this.kind);
    const y = scale(domain, [bottom, top], this.kind);
    const inside = (value) => Math.max(domain[0], value);
    const drawing = canvas(width, height, `${this.heading}: ${this.note.textContent}`);
    drawing.append(
      ...axes(x, y, { x: "", y: "Share that came true" }, { x: { label: () => "" }, y: { label: share } }),
      svg("path", { class: "chart-baseline", d: line([[left, bottom], [right, top]]) }),
      svg("g", { class: "chart-spread" }, bins.map((bin) => svg("line", { x1: x(inside(bin.predicted)), x2: x(inside(bin.predicted)), y1: y(inside(bin.low)), y2: y(inside(bin.high)) }))),
      svg("g", {}, bins.map((bin) => this.point(bin, x, y, inside))),
      across(x, [ground, bottom + 8], "Predicted probability", { label: share }),
      this.bars(bins, x, inside, ground),
      svg("text", { class: "chart-label", x: right, y: bottom + 20, "text-anchor": "end" }, "rows"),
    );
    return drawing;
  }

  point(bin, x, y, inside) {
    const isOff = bin.observed < y.domain[0];
    const told = `predicted ${number(bin.predicted)}, came ${number(bin.observed)} of ${count(bin.rows)} rows`;
    return svg("circle", { class: isOff ? "chart-point chart-hollow" : "chart-point", cx: x(inside(bin.predicted)), cy: y(inside(bin.observed)), r: 4 }, svg("title", {}, told));
  }

  bars(bins, x, inside, ground) {
    const most = Math.max(...bins.map((bin) => bin.rows));
    const tall = (rows) => Math.max(2, (rows / most) * (BARS - 12));
    return svg("g", { class: "chart-counts" }, bins.map((bin) => svg("rect", { x: x(inside(bin.predicted)) - 3, width: 6, y: ground - tall(bin.rows), height: tall(bin.rows), rx: 1 })));
  }

  /** Tell all ways to probabilities that were compared, and which is in force. */
  candidates() {
    const { candidates, chosen, method } = this.store.evaluation.calibration;
    const cells = (candidate) => {
      const figures = candidate[this.store.split];
      if (figures === null) return html("td", { colspan: 3, class: "chart-undefined" }, absence(candidate));
      return ["log_loss", "brier", "ece"].map((name) => html("td", {}, fixed(figures[name], 4)));
    };
    const row = (candidate) => {
      const isChosen = candidate.kind === chosen && candidate.method === method;
      const name = candidate.method in METHODS ? `${KINDS[candidate.kind]} (${METHODS[candidate.method]})` : KINDS[candidate.kind];
      return html("tr", { class: isChosen ? "chart-chosen" : null }, html("th", { scope: "row" }, name, isChosen ? html("span", { class: "chart-in-force" }, "in force") : null), cells(candidate));
    };
    const head = ["Probabilities", "Log-loss", "Brier", "ECE"].map((title) => html("th", { scope: "col" }, title));
    return html("table", {}, html("caption", { class: "chart-hidden" }, "Ways to probabilities that were compared"), html("thead", {}, html("tr", {}, head)), html("tbody", {}, candidates.map(row)));
  }

  table() {
    const columns = ["predicted", "observed", "rows", "low", "high"];
    return { columns, rows: this.bins().map((bin) => [bin.predicted, bin.observed, bin.rows, bin.low, bin.high]) };
  }
}

/** Word a probability of an axis; per cent are easier to read than many zeros. */
function share(value) {
  return `${number(100 * value, 2)}%`;
}

/** Return where a log axis begins: under the smallest number it shows, at a power of ten, and not below 1e-4: what is rarer lies on its edge. */
function lowest(bins) {
  const shown = bins.flatMap((bin) => [bin.predicted, bin.observed]).filter((value) => value > 0);
  return 10 ** Math.max(-4, Math.floor(Math.log10(Math.min(0.1, ...shown))));
}

customElements.define("cw-calibration", Calibration);
