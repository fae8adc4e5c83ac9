// <cw-confusion data-src="/api/v1/jobs/…/evaluation">: which class rows have and which they were called, at the threshold in force.

import { html, segmented } from "./elements.js";
import { EvaluationFigure } from "./evaluation-figure.js";
import { save, csv } from "./saving.js";
import { count, percent } from "./scales.js";

const KINDS = [["counts", "Counts"], ["rows", "By true class"], ["columns", "By call"]];

class Confusion extends EvaluationFigure {
  heading = "Confusion matrix";
  kind = "counts";

  build() {
    super.build();
    const choose = (kind) => {
      this.kind = kind;
      this.choice.press(kind);
      this.redraw();
    };
    this.choice = segmented("What the cells show", KINDS, this.kind, choose);
    this.controls.append(this.choice);
    // It is a table already.
    this.switch.remove();
  }

  formats() {
    return [["CSV", () => save(`${this.fileName()}.csv`, "text/csv", csv(this.table()))]];
  }

  about() {
    if (this.store.isBinary) return "Rows by class and call, at the threshold";
    const isShifted = Object.values(this.store.evaluation.threshold.offsets ?? {}).some((offset) => offset !== 0);
    return `Rows by class and by the likeliest class${isShifted ? ", after offsets" : ""}`;
  }

  mark() {
    if (this.store.isBinary) this.redraw();
  }

  redraw(width = this.width) {
    this.width = width;
    if (this.isReady()) this.body.replaceChildren(this.matrix());
  }

  /** Return `{labels, counts}` as they are at the threshold; the positive class comes last. */
  counts() {
    const { store } = this;
    if (!store.isBinary || store.cells === null) return store.part.confusion;
    const { tp, fp, fn, tn } = store.cells;
    const rest = store.part.classes.find(({ label }) => label !== store.positive)?.label ?? "other";
    return { labels: [rest, store.positive], counts: [[tn, fp], [fn, tp]] };
  }

  matrix() {
    const { labels, counts } = this.counts();
    const of = (row) => row.reduce((sum, each) => sum + each, 0);
    const byRow = counts.map(of);
    const byColumn = labels.map((_, place) => of(counts.map((row) => row[place])));
    const head = html("tr", {}, html("td", {}), labels.map((label) => html("th", { scope: "col", title: label }, html("span", {}, label))), html("th", { scope: "col", class: "chart-sum" }, "rows"));
    const body = counts.map((row, place) =>
      html(
        "tr",
        {},
        html("th", { scope: "row", title: labels[place] }, html("span", {}, labels[place])),
        row.map((rows, called) => this.cell(rows, byRow[place], byColumn[called], place === called)),
        html("td", { class: "chart-sum" }, count(byRow[place])),
      ),
    );
    const foot = html("tr", {}, html("th", { scope: "row", class: "chart-sum" }, "called"), byColumn.map((rows) => html("td", { class: "chart-sum" }, count(rows))), html("td", { class: "chart-sum" }, count(of(byRow))));
    const caption = html("caption", {}, "true class in rows, call in columns");
    return html("div", { class: "chart-scroll" }, html("table", { class: `chart-matrix ${labels.length > 3 ? "chart-dense" : ""}` }, caption, html("thead", {}, head), html("tbody", {}, body, foot)));
  }

  cell(rows, ofRow, ofColumn, isRight) {
    const whole = this.kind === "columns" ? ofColumn : ofRow;
    const share = whole > 0 ? rows / whole : null;
    const [main, aside] = this.kind === "counts" ? [count(rows), percent(share)] : [percent(share), count(rows)];
    const td = html("td", { class: isRight ? "chart-right" : "chart-wrong" }, html("strong", {}, main), html("small", {}, aside));
    td.style.setProperty("--share", share ?? 0);
    return td;
  }

  table() {
    const { labels, counts } = this.counts();
    return { columns: ["true class", ...labels.map((label) => `called ${label}`)], rows: counts.map((row, place) => [labels[place], ...row]) };
  }
}

customElements.define("cw-confusion", Confusion);
