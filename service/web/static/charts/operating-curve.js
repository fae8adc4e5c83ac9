// A curve of two rates over all thresholds, with the threshold in force on it: what PR and ROC have in common.

import { axes, canvas, crisp, line, steps } from "./axes.js";
import { svg } from "./elements.js";
import { announce, EvaluationFigure, frame, handle, movable } from "./evaluation-figure.js";
import { cheapestStep } from "./operating.js";
import { fixed, scale } from "./scales.js";

/**
 * Subclasses give `points()`: `[x, y, threshold]`, thresholds falling; `titles`; `at(cells)`: the place of confusion cells, null where it
 * is undefined; `baseline()`: `[[x, y], [x, y]]` and its name. `isStepped` tells how neighbours are joined.
 */
export class OperatingCurve extends EvaluationFigure {
  isStepped = false;

  draw(width) {
    const height = Math.round(Math.min(340, Math.max(240, width * 0.78)));
    const { left, right, top, bottom } = frame(width, height);
    const x = (this.x = scale([0, 1], [left, right]));
    const y = (this.y = scale([0, 1], [bottom, top]));
    const drawing = canvas(width, height, `${this.heading}: ${this.note.textContent}`);
    const curve = this.points();
    const placed = curve.map(([across, up]) => [x(across), y(up)]);
    const { ends, name } = this.baseline();
    const base = ends.map(([across, up]) => [x(across), y(up)]);
    drawing.append(
      ...axes(x, y, this.titles),
      svg("path", { class: "chart-baseline", d: line(base) }),
      this.baselineName(base, name),
      svg("path", { class: "chart-curve", d: this.isStepped ? steps(placed) : line(placed) }),
    );
    if (this.store.isBinary) {
      this.addMarks(drawing);
      movable(drawing, this.store, (px, py) => this.nearest(curve, px, py));
    }
    return drawing;
  }

  baselineName([start, end], name) {
    const isFlat = start[1] === end[1];
    const [px, py] = isFlat ? [start[0] + 6, start[1] - 6] : [start[0] + 0.66 * (end[0] - start[0]) + 6, start[1] + 0.66 * (end[1] - start[1]) + 14];
    return svg("text", { class: "chart-label", x: px, y: py }, name);
  }

  addMarks(drawing) {
    this.guides = [svg("line", { class: "chart-guide" }), svg("line", { class: "chart-guide" })];
    this.home = svg("circle", { class: "chart-home", r: 5 }, svg("title", {}, "the job's own threshold"));
    this.cheap = svg("path", { class: "chart-cheapest", d: "M0-6 6 0 0 6-6 0Z", visibility: "hidden" }, svg("title", {}, "the cheapest threshold"));
    this.dot = svg("circle", { class: "chart-dot", r: 6.5 });
    this.handle = handle(this.store, `Threshold on ${this.heading}`, svg("circle", { class: "chart-reach", r: 22 }), this.dot);
    drawing.append(svg("g", {}, this.guides), this.home, this.cheap, this.handle);
  }

  mark() {
    if (!this.handle || !this.store.isBinary) return;
    const { store, x, y } = this;
    const place = this.at(store.cells);
    this.handle.setAttribute("visibility", place ? "visible" : "hidden");
    this.guides.forEach((guide) => guide.setAttribute("visibility", place ? "visible" : "hidden"));
    if (place) {
      const [px, py] = [x(place[0]), y(place[1])];
      this.handle.setAttribute("transform", `translate(${px.toFixed(1)} ${py.toFixed(1)})`);
      this.run(this.guides[0], px, px, py, y.range[0]);
      this.run(this.guides[1], x.range[0], px, py, py);
      announce(this.handle, store, `${this.titles.y} ${fixed(place[1])}, ${this.titles.x} ${fixed(place[0])}`);
    }
    this.put(this.home, store.stepPlace((cells) => this.at(cells), store.chosen));
    const index = store.prices === null ? null : cheapestStep(store.steps, ...store.prices);
    this.put(this.cheap, index === null ? null : store.stepPlace((cells) => this.at(cells), store.steps.thresholds[index]));
  }

  run(guide, x1, x2, y1, y2) {
    Object.entries({ x1: crisp(x1), x2: crisp(x2), y1: crisp(y1), y2: crisp(y2) }).forEach(([name, value]) => guide.setAttribute(name, value));
  }

  put(mark, place) {
    mark.setAttribute("visibility", place ? "visible" : "hidden");
    if (place) mark.setAttribute("transform", `translate(${this.x(place[0]).toFixed(1)} ${this.y(place[1]).toFixed(1)})`);
  }

  nearest(curve, px, py) {
    let [best, least] = [curve[0], Infinity];
    for (const point of curve) {
      const distance = (this.x(point[0]) - px) ** 2 + (this.y(point[1]) - py) ** 2;
      if (distance < least) [best, least] = [point, distance];
    }
    return best[2];
  }

  table() {
    const { x, y } = this.titles;
    return { columns: ["threshold", x.toLowerCase(), y.toLowerCase()], rows: this.points().map(([across, up, threshold]) => [threshold, across, up]) };
  }
}
