// One panel of curves: a metric over training, with what it is worth now or under the cursor.

import { html } from "./elements.js";
import { fixed, number, tickLabel } from "./scales.js";
import { columnsOf, duration, placeOf, pointAt } from "./series.js";

const HEIGHT = 210;
const FONT = "11px ui-sans-serif, system-ui, sans-serif";

/** A panel; `show()` gives it new points or settings, and it keeps its drawing. */
export class CurvePanel {
  constructor(uPlot, panel, owner) {
    this.uPlot = uPlot;
    this.owner = owner;
    this.panel = panel;
    this.title = html("h4", {}, panel.title);
    this.reading = html("p", { class: "chart-reading" });
    this.plot = html("div", { class: "chart-plot", tabindex: "0", role: "img" });
    this.plot.addEventListener("keydown", (event) => this.keyed(event));
    this.plot.addEventListener("blur", () => this.drawn?.setCursor({ left: -10, top: -10 }));
    this.element = html("section", { class: "chart-panel" }, this.title, this.reading, this.plot);
  }

  show(panel, settings) {
    this.panel = panel;
    this.settings = settings;
    const isLog = settings.isLog && this.isPositiveLoss();
    const data = columnsOf(panel.lines, settings.axis, settings.weight, settings.start);
    if (this.drawn && (this.isLog !== isLog || this.axis !== settings.axis)) this.end();
    this.isLog = isLog;
    this.axis = settings.axis;
    if (!this.drawn) this.begin(data);
    else this.drawn.setData(data, !this.isZoomed());
    this.read(null);
  }

  begin(data) {
    this.drawn = new this.uPlot(this.options(), data, this.plot);
    this.watcher = new ResizeObserver(() => this.fit());
    this.watcher.observe(this.plot);
  }

  end() {
    this.watcher?.disconnect();
    this.drawn?.destroy();
    this.drawn = null;
  }

  fit() {
    const width = this.plot.clientWidth;
    if (this.drawn && width > 0 && width !== this.drawn.width) this.drawn.setSize({ width, height: HEIGHT });
  }

  /** Tell that a log axis suits: a share between 0 and 1 is read on a plain one. */
  isPositiveLoss() {
    return this.panel.metric.includes("loss") && this.panel.lines.every(({ points }) => points.every((point) => point[3] > 0));
  }

  isZoomed() {
    const [places] = this.drawn.data;
    const { min, max } = this.drawn.scales.x;
    return places.length > 1 && min !== null && (min > places[0] || max < places[places.length - 1]);
  }

  options() {
    const color = (name) => () => getComputedStyle(this.plot).getPropertyValue(name);
    const axis = { stroke: color("--text-muted"), font: FONT, grid: { stroke: color("--grid"), width: 1 }, ticks: { show: false } };
    const words = this.axis === "time" ? (_, values) => values.map(duration) : (_, values) => values.map((value) => (Number.isInteger(value) ? tickLabel(value) : ""));
    const logTicks = (_, values) => values.map((value) => (value === null ? "" : tickLabel(value)));
    return {
      width: Math.max(120, this.plot.clientWidth),
      height: HEIGHT,
      legend: { show: false },
      padding: [8, 8, 0, 0],
      scales: { x: { time: false }, y: this.isLog ? { distr: 3, log: 10 } : {} },
      axes: [
        { ...axis, values: words, space: 56, size: 26, gap: 4 },
        { ...axis, size: 50, gap: 6, space: 34, values: this.isLog ? logTicks : (_, values) => values.map(tickLabel) },
      ],
      cursor: { sync: { key: this.owner.syncKey }, y: false, points: { size: 7 }, drag: { x: true, y: false } },
      series: [{}, ...this.panel.lines.flatMap((line) => this.pair(line))],
      hooks: { setCursor: [() => this.read(this.drawn?.cursor.idx ?? null)], draw: [(drawn) => this.markBest(drawn)] },
    };
  }

  /** The raw curve, faint where it is smoothed, and the smoothed one on it. */
  pair({ part }) {
    const isTrain = part === "train" && this.panel.lines.length > 1;
    const name = isTrain ? "--text-muted" : "--chart-line";
    const color = (alpha) => () => faded(getComputedStyle(this.plot).getPropertyValue(name), alpha);
    const line = { spanGaps: true, points: { show: false }, dash: isTrain ? [5, 4] : undefined };
    return [
      { ...line, width: 1, stroke: () => color(this.settings.weight > 0 ? 0.35 : 0)(), label: `${part}, raw` },
      { ...line, width: 2, stroke: color(1), label: part },
    ];
  }

  /** The epoch whose weights are kept: a line through all panels, a ring on the curve. */
  markBest(drawn) {
    const { best, start } = this.settings;
    const line = this.panel.lines.find(({ part }) => part === "validation") ?? this.panel.lines[0];
    const point = best === null ? undefined : pointAt(line.points, best);
    if (!point) return;
    const style = getComputedStyle(this.plot);
    const x = drawn.valToPos(placeOf(point, this.axis, start), "x", true);
    const y = drawn.valToPos(point[3], "y", true);
    const { left, width, top, height } = drawn.bbox;
    if (x < left || x > left + width) return;
    const pen = drawn.ctx;
    pen.save();
    pen.strokeStyle = style.getPropertyValue("--text-muted");
    pen.lineWidth = devicePixelRatio;
    pen.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    pen.beginPath();
    pen.moveTo(x, top);
    pen.lineTo(x, top + height);
    pen.stroke();
    pen.setLineDash([]);
    pen.fillStyle = style.getPropertyValue("--surface");
    pen.lineWidth = 1.5 * devicePixelRatio;
    pen.beginPath();
    pen.arc(x, y, 4 * devicePixelRatio, 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
    pen.restore();
  }

  /** Tell the values at a place of the data, or the last ones. */
  read(index) {
    const data = this.drawn?.data;
    if (!data || data[0].length === 0) return;
    const at = index ?? data[0].length - 1;
    const epoch = this.axis === "time" ? duration(data[0][at]) : `${this.axis} ${number(data[0][at], 7)}`;
    const told = this.panel.lines.map(({ part }, place) => `${this.panel.lines.length > 1 ? `${part} ` : ""}${fixed(data[1 + 2 * place][at], 4)}`);
    const { best } = this.settings;
    this.reading.replaceChildren(html("strong", {}, told.join(", ")), ` at ${epoch}`, best === null || index !== null ? "" : ` · kept epoch ${best}`);
    this.plot.setAttribute("aria-label", `${this.panel.title}: ${this.reading.textContent}. Arrow keys read the curve.`);
  }

  keyed(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity, PageUp: 10, PageDown: -10 }[event.key];
    if (steps === undefined) return;
    event.preventDefault();
    const [places] = this.drawn.data;
    const index = Math.min(places.length - 1, Math.max(0, (this.drawn.cursor.idx ?? places.length - 1) + steps));
    this.drawn.setCursor({ left: this.drawn.valToPos(places[index], "x"), top: 0 });
    this.owner.speak(`${this.panel.title}: ${this.reading.textContent}`);
  }
}

/** Return a colour with another alpha; the style sheets' own are opaque. */
function faded(color, alpha) {
  return `color-mix(in srgb, ${color} ${100 * alpha}%, transparent)`;
}
