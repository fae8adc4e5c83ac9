// <cw-histogram data-src="/api/v1/jobs/…/evaluation">: how the scores of each class lie, positives up and the rest down.
// What lies right of the threshold is called positive, and drawn in full.

import { across, canvas, crisp, upwards } from "./axes.js";
import { segmented, svg } from "./elements.js";
import { announce, EvaluationFigure, frame, handle, movable } from "./evaluation-figure.js";
import { count, powerTicks, scale, ticks } from "./scales.js";

let drawings = 0;

class Histogram extends EvaluationFigure {
  heading = "Scores by class";
  kind = "symlog";

  build() {
    super.build();
    const choose = (kind) => {
      this.kind = kind;
      this.choice.press(kind);
      this.redraw();
    };
    this.choice = segmented("Scale of the counts", [["symlog", "Log"], ["linear", "Linear"]], this.kind, choose);
    this.controls.append(this.choice);
  }

  about() {
    const { positives, negatives } = this.store.rows;
    return `${rowsOf(positives)} of class ${this.store.positive} above the line, ${rowsOf(negatives)} of others below`;
  }

  draw(width) {
    const { edges, positives, negatives } = this.store.curves.score_histogram;
    const height = Math.round(Math.min(500, Math.max(250, width * 0.85)));
    const { left, right, top, bottom } = frame(width, height);
    const x = (this.x = scale([0, 1], [left, right]));
    const most = Math.max(1, ...positives, ...negatives);
    const middle = Math.round((top + bottom) / 2);
    const up = scale([0, most * 1.05], [middle, top], this.kind);
    const down = scale([0, most * 1.05], [middle, bottom], this.kind);
    const drawing = canvas(width, height, `${this.heading}: ${this.note.textContent}`);
    const bars = (counts, place, name) => svg("path", { class: name, d: barPath(edges, counts, x, place) });
    const both = (faded) => [
      bars(positives, up, `chart-bars chart-positive ${faded}`),
      bars(negatives, down, `chart-bars chart-negative ${faded}`),
    ];
    const id = `chart-called-${(drawings += 1)}`;
    this.called = svg("rect", { x: left, y: top - 4, width: right - left, height: bottom - top + 8 });
    drawing.append(
      ...this.grid(x, up, down, most),
      svg("clipPath", { id }, this.called),
      svg("g", {}, both("chart-faded")),
      svg("g", { "clip-path": `url(#${id})` }, both("")),
      svg("line", { class: "chart-zero", x1: left, x2: right, y1: crisp(middle), y2: crisp(middle) }),
      svg("text", { class: "chart-label", x: right, y: top - 12, "text-anchor": "end" }, "called positive →"),
    );
    if (this.store.isBinary) this.addHandle(drawing, top, bottom);
    return drawing;
  }

  grid(x, up, down, most) {
    const ticksUp = this.kind === "linear" ? ticks(0, most, 3) : powerTicks(0, most, 4);
    return [
      across(x, [down.range[1], up.range[1]], "Score"),
      upwards(up, x.range, "Rows", { ticks: ticksUp.filter((value) => value === 0 || up.range[0] - up(value) > 16) }),
      upwards(down, x.range, "", { ticks: ticksUp.filter((value) => down(value) - down.range[0] > 16) }),
    ];
  }

  addHandle(drawing, top, bottom) {
    const reach = svg("rect", { class: "chart-reach", x: -14, y: top - 4, width: 28, height: bottom - top + 8 });
    const stem = svg("line", { class: "chart-threshold", x1: 0, x2: 0, y1: top - 4, y2: bottom });
    const grip = svg("circle", { class: "chart-dot", cx: 0, cy: top - 4, r: 6.5 });
    this.home = svg("path", { class: "chart-home", d: `M0 ${bottom - 1}l5 8h-10Z` }, svg("title", {}, "the job's own threshold"));
    this.handle = handle(this.store, "Threshold on the scores", reach, stem, grip);
    drawing.append(this.home, this.handle);
    movable(drawing, this.store, (px) => Math.min(1, Math.max(0, this.x.invert(px))));
  }

  mark() {
    if (!this.handle || !this.store.isBinary) return;
    const [left, right] = this.x.range;
    const px = Math.min(right, this.x(this.store.threshold));
    this.handle.setAttribute("transform", `translate(${px.toFixed(1)} 0)`);
    this.home.setAttribute("transform", `translate(${this.x(Math.min(1, this.store.chosen)).toFixed(1)} 0)`);
    this.called.setAttribute("x", px);
    this.called.setAttribute("width", Math.max(0, right - px) + (px > left ? 2 : 0));
    const { tp, fp } = this.store.cells ?? { tp: 0, fp: 0 };
    announce(this.handle, this.store, `${count(tp + fp)} rows called positive`);
  }

  table() {
    const { edges, positives, negatives } = this.store.curves.score_histogram;
    return { columns: ["from", "to", `class ${this.store.positive}`, "others"], rows: positives.map((own, index) => [edges[index], edges[index + 1], own, negatives[index]]) };
  }
}

function rowsOf(number) {
  return `${count(number)} ${number === 1 ? "row" : "rows"}`;
}

/** Return bars as one path: a pixel of ground stays between neighbours. */
function barPath(edges, counts, x, place) {
  const zero = place(0);
  return counts
    .map((rows, index) => {
      if (rows === 0) return "";
      const [from, to] = [x(edges[index]) + 0.5, x(edges[index + 1]) - 0.5];
      // One row among thousands stays visible.
      const tip = place(rows) - zero;
      const end = zero + Math.sign(tip) * Math.max(2, Math.abs(tip));
      return `M${from.toFixed(1)} ${zero}V${end.toFixed(1)}H${to.toFixed(1)}V${zero}Z`;
    })
    .join("");
}

customElements.define("cw-histogram", Histogram);
