// <cw-study-curves data-src="/api/v1/studies/…">: how the arms train, mean and span of each arm's runs, live.

import { ArmLegend } from "./arm-legend.js";
import { atEpoch, firstSeries, heightOf, looksOf, seriesNames, whole } from "./arms.js";
import { across, canvas, crisp, line, upwards } from "./axes.js";
import { html, segmented, svg, toggle } from "./elements.js";
import { fetchJson } from "./evaluation-store.js";
import { Figure } from "./figure.js";
import { count, fixed, scale, tickLabel } from "./scales.js";
import { studyOf } from "./study-store.js";

const POINTS = 240;
const FRAME = { top: 26, right: 12, bottom: 38, left: 48 };
/** So many arms are shown at first; each other one can be turned on. */
const FIRST = 8;
/** From more than so many arms on bands lie thinner. */
const FEW = 3;
const [EPOCH, MEAN, LOW, HIGH] = [0, 1, 2, 3];
const HEIGHTS = [["focus", "Focus"], ["whole", "Whole"]];
const STEPS = { ArrowLeft: -1, ArrowRight: 1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity };

class StudyCurves extends Figure {
  heading = "Curves";
  arms = [];
  names = [];
  name = null;
  shown = null;
  at = null;
  isWhole = false;
  hasBands = true;

  build() {
    super.build();
    this.select = html("select", { "aria-label": "Metric", onchange: () => this.turn(this.select.value) });
    const choose = (height) => {
      this.isWhole = height === "whole";
      this.choice.press(height);
      this.redraw();
    };
    this.choice = segmented("Height of the axis", HEIGHTS, "focus", choose);
    const bands = toggle("Bands", true, (isOn) => {
      this.hasBands = isOn;
      this.redraw();
    });
    this.controls.append(this.select, bands, this.choice);
    this.legend = new ArmLegend((arm) => this.flipArm(arm), (arm) => this.pointAt(arm));
    this.spoken = html("p", { class: "chart-hidden", "aria-live": "polite" });
    this.append(this.legend.element, this.spoken);
    this.body.addEventListener("pointermove", (event) => this.point(event));
    this.body.addEventListener("pointerleave", () => this.go(null));
    this.body.addEventListener("keydown", (event) => this.keyed(event));
  }

  load() {
    this.store = studyOf(this.dataset.src);
    this.see = () => this.look();
    this.store.follow(this, this.see);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.store.leave(this, this.see);
  }

  isReady() {
    return this.lines().length > 0;
  }

  /** The shown metric of every arm that has it. */
  lines() {
    return this.arms.map(({ arm, series }) => ({ arm, series: series.find(({ name }) => name === this.name) })).filter(({ series }) => series !== undefined);
  }

  /** The study was read: read its curves too. One question at a time. */
  async look() {
    if (!this.store.study) return this.say(this.store.problem.message);
    if (this.asking) return;
    this.asking = true;
    try {
      await this.ask();
    } catch (problem) {
      if (!this.isReady()) this.say(problem.message);
    } finally {
      this.asking = false;
    }
  }

  async ask() {
    const { study } = this.store;
    if (this.name === null) {
      // Which metrics there are is asked for in two points each; then only the shown one is read in full.
      const { arms } = await fetchJson(`${this.dataset.src}/metrics?points=2`);
      this.names = seriesNames(arms);
      this.name = firstSeries(this.names, study.metric);
      if (this.name === null) return this.say(study.is_terminal ? "The jobs recorded no curves." : "The curves begin with the first epoch.");
      this.select.replaceChildren(...this.names.map((name) => html("option", { value: name, selected: name === this.name }, worded(name))));
    }
    this.arms = (await fetchJson(`${this.dataset.src}/metrics?points=${POINTS}&names=${encodeURIComponent(this.name)}`)).arms;
    const ranked = study.leaderboard.map(({ arm }) => arm);
    this.shown ??= new Set(ranked.slice(0, FIRST));
    this.looks = looksOf(this.arms.map(({ arm }) => study.leaderboard.find((row) => row.arm === arm)));
    this.order = ranked;
    this.say("");
    this.redraw();
  }

  turn(name) {
    this.name = name;
    this.look();
  }

  about() {
    const live = this.store.study.phase === "training" ? "Live. " : "";
    const reduced = this.lines().some(({ series }) => series.reduced) ? " Epochs are drawn together, extremes kept." : "";
    const bands = this.hasBands ? ", the band their lowest and highest" : "";
    return `${live}The line is the mean of an arm's runs${bands}; it is faint where some have stopped early, and its figure is from before that.${reduced}`;
  }

  draw(width) {
    const height = Math.round(Math.min(360, Math.max(240, width * 0.56)));
    const lines = this.lines().filter(({ arm }) => this.shown.has(arm));
    const last = Math.max(2, ...this.lines().map(({ series }) => series.points.at(-1)[EPOCH]));
    const x = (this.x = scale([1, last], [FRAME.left, width - FRAME.right]));
    const y = (this.y = scale(heightOf(lines.map(({ series }) => series), this.isWhole, goalOf(this.name)), [height - FRAME.bottom, FRAME.top]));
    this.note.textContent = this.about();
    const drawing = canvas(width, height, `${worded(this.name)} by epoch`);
    const id = `clip-${this.dataset.src.split("/").pop()}`;
    const inside = svg("rect", { x: FRAME.left, y: FRAME.top - 2, width: width - FRAME.left - FRAME.right, height: height - FRAME.top - FRAME.bottom + 4 });
    const curves = svg("g", { "clip-path": `url(#${id})`, class: lines.length > FEW ? "arm-many" : null });
    const faces = lines.map(({ arm, series }) => ({ arm, look: this.looks.get(arm), pieces: whole(series) }));
    // The leader last, and so above the others.
    faces.sort((one, other) => this.order.indexOf(other.arm) - this.order.indexOf(one.arm));
    curves.append(...faces.map((face) => this.face(face)));
    this.marks = svg("g", { visibility: "hidden" });
    drawing.append(
      svg("defs", {}, svg("clipPath", { id }, inside)),
      across(x, y.range, "epoch", { label: (value) => (Number.isInteger(value) ? tickLabel(value) : "") }),
      upwards(y, x.range, worded(this.name)),
      curves,
      this.marks,
    );
    this.mark();
    return html("div", { class: "chart-plot", tabindex: "0", role: "group", "aria-label": `${worded(this.name)} by epoch. Arrow keys read the curves.` }, drawing);
  }

  /** Return an arm's band and line; where some of its runs have stopped, faintly. */
  face({ arm, look, pieces }) {
    const { x, y } = this;
    const bands = this.hasBands ? pieces.map((points, rest) => svg("path", { class: `arm-band ${rest ? "arm-rest" : ""}`, d: this.band(points) })) : [];
    const means = pieces.map((points, rest) => svg("path", { class: `arm-line ${rest ? "arm-rest" : ""}`, d: line(points.map((point) => [x(point[EPOCH]), y(point[MEAN])])) }));
    // A line through one point is nothing to see.
    const lone = pieces.filter((points) => points.length === 1).map(([point]) => svg("circle", { class: "arm-point", cx: x(point[EPOCH]), cy: y(point[MEAN]), r: 3 }));
    return svg("g", { class: `arm-face ${look}`, "data-arm": arm }, bands, means, lone);
  }

  /** Let one arm stand out among the others; null ends it. */
  pointAt(arm) {
    const faces = [...this.body.querySelectorAll(".arm-face")];
    this.body.classList.toggle("arm-pointed", faces.some((face) => face.dataset.arm === arm));
    for (const face of faces) face.classList.toggle("arm-hot", face.dataset.arm === arm);
    this.pointed = arm;
  }

  redraw(width) {
    const hadFocus = this.body.contains(document.activeElement);
    super.redraw(width);
    if (hadFocus) this.body.querySelector(".chart-plot")?.focus({ preventScroll: true });
    if (!this.isReady()) return;
    this.tell();
    if (this.pointed) this.pointAt(this.pointed);
  }

  band(points) {
    if (points.length === 0) return "";
    const { x, y } = this;
    const up = points.map((point) => [x(point[EPOCH]), y(point[HIGH])]);
    const down = points.toReversed().map((point) => [x(point[EPOCH]), y(point[LOW])]);
    return `${line([...up, ...down])}Z`;
  }

  /** Tell each arm's figure at the cursor, or the last that all of its runs have. */
  tell() {
    const rows = this.lines()
      .sort((one, other) => this.order.indexOf(one.arm) - this.order.indexOf(other.arm))
      .map(({ arm, series }) => {
        const point = this.at === null ? whole(series)[0].at(-1) ?? series.points.at(-1) : atEpoch(series, this.at);
        return { arm, look: this.looks.get(arm), isShown: this.shown.has(arm), figure: point ? fixed(point[MEAN], 4) : "–" };
      });
    this.legend.show(rows);
    const figures = rows.filter(({ isShown }) => isShown).map(({ arm, figure }) => `${arm} ${figure}`);
    this.reading = `${this.at === null ? "" : `Epoch ${count(this.at)}: `}${figures.join(", ")}`;
  }

  flipArm(arm) {
    if (!this.shown.delete(arm)) this.shown.add(arm);
    this.redraw();
  }

  mark() {
    if (!this.marks) return;
    this.marks.setAttribute("visibility", this.at === null ? "hidden" : "visible");
    if (this.at === null) return;
    const { x, y } = this;
    const dots = this.lines().filter(({ arm }) => this.shown.has(arm)).map(({ arm, series }) => [arm, atEpoch(series, this.at)]);
    const inside = dots.filter(([, point]) => point && y(point[MEAN]) <= y.range[0] + 2);
    this.marks.replaceChildren(
      svg("line", { class: "chart-cursor", x1: crisp(x(this.at)), x2: crisp(x(this.at)), y1: y.range[0], y2: y.range[1] }),
      svg("text", { class: "chart-label", x: x(this.at), y: y.range[1] - 6, "text-anchor": this.at > x.domain[1] / 2 ? "end" : "start" }, `epoch ${count(this.at)}`),
      ...inside.map(([arm, point]) => svg("circle", { class: `arm-dot ${this.looks.get(arm)}`, cx: x(point[EPOCH]), cy: y(point[MEAN]), r: 4 })),
    );
  }

  point(event) {
    const drawing = this.drawing();
    if (!drawing || !this.isReady()) return;
    const box = drawing.getBoundingClientRect();
    const epoch = Math.round(this.x.invert(((event.clientX - box.left) * drawing.viewBox.baseVal.width) / box.width));
    this.go(Math.min(this.x.domain[1], Math.max(1, epoch)));
  }

  go(epoch) {
    if (epoch === this.at || !this.isReady()) return;
    this.at = epoch;
    this.mark();
    this.tell();
  }

  keyed(event) {
    const by = STEPS[event.key];
    if (by === undefined || !event.target.matches(".chart-plot") || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const last = this.x.domain[1];
    this.go(Math.min(last, Math.max(1, (this.at ?? last) + by)));
    this.spoken.textContent = this.reading;
  }

  table() {
    const rows = this.lines().flatMap(({ arm, series }) => series.points.map((point) => [arm, this.name, ...point]));
    return { columns: ["arm", "metric", "epoch", "mean", "lowest", "highest", "runs"], rows };
  }
}

function worded(name) {
  const [part, metric] = name.split(/\/(.*)/s);
  return `${metric.replaceAll("_", " ")}, ${part}`;
}

/** Whether more of a metric is better; losses and errors are better the lower. */
function goalOf(name) {
  return /loss|brier|ece/.test(name) ? "min" : "max";
}

customElements.define("cw-study-curves", StudyCurves);
