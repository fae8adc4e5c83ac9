// <cw-curves data-src="/api/v1/jobs/…/metrics">: a job's curves, live while it runs.

import { CurvePanel } from "./curve-panel.js";
import { html, segmented, toggle } from "./elements.js";
import { fetchJson } from "./evaluation-store.js";
import { Figure } from "./figure.js";
import { csv, save } from "./saving.js";
import { count } from "./scales.js";
import { firstMoment, panelsOf, tableOf, weightOf } from "./series.js";
import { uPlot } from "./uplot.js";

const POINTS = 1000;
const EACH_MS = 1000;
const HIDDEN_MS = 5000;

class Curves extends Figure {
  heading = "Curves";
  series = [];
  panels = new Map();
  settings = { axis: "epoch", weight: 0, isLog: false, best: null, start: 0 };
  syncKey = `curves-${Math.random().toString(36).slice(2)}`;

  build() {
    super.build();
    this.body.classList.add("chart-panels");
    this.spoken = html("p", { class: "chart-hidden", "aria-live": "polite" });
    this.append(this.spoken);
    const choose = (axis) => {
      this.axisChoice.press(axis);
      this.set({ axis });
    };
    this.axisChoice = segmented("Axis to the right", [["epoch", "Epoch"], ["step", "Step"], ["time", "Time"]], this.settings.axis, choose);
    const slider = html("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0, oninput: () => this.set({ weight: weightOf(slider.valueAsNumber) }) });
    this.controls.append(html("label", { class: "chart-smoothing" }, "Smoothing ", slider), toggle("Log losses", false, (isLog) => this.set({ isLog })), this.axisChoice);
  }

  formats() {
    return [
      ["CSV", () => save(`${this.fileName()}.csv`, "text/csv", csv(this.table()))],
      ["PNG", async () => save(`${this.fileName()}.png`, "image/png", await this.picture())],
    ];
  }

  connectedCallback() {
    this.isHere = true;
    this.repaint = () => this.show();
    document.addEventListener("themechange", this.repaint);
    super.connectedCallback();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.isHere = false;
    document.removeEventListener("themechange", this.repaint);
  }

  isReady() {
    return this.panels.size > 0;
  }

  /** Follow the job until it has ended or the page has gone. */
  async load() {
    this.uPlot = await uPlot();
    for (let isOver = false; this.isHere && !isOver; ) {
      isOver = await this.ask();
      if (!isOver) await new Promise((resume) => setTimeout(resume, document.hidden ? HIDDEN_MS : EACH_MS));
    }
  }

  /** Fetch what is new; tell whether the job has ended. A failure is told and tried again, for servers are restarted. */
  async ask() {
    try {
      // The job first: if it has ended by now, the metrics after it are the last.
      const job = await fetchJson(this.dataset.src.replace(/\/metrics$/, ""));
      const { series } = await fetchJson(`${this.dataset.src}?points=${POINTS}`);
      this.receive(job, series);
      return job.is_terminal;
    } catch (problem) {
      if (this.series.length === 0) this.say(problem.message);
      return problem.status === 404;
    }
  }

  receive(job, series) {
    this.series = series;
    if (series.every(({ points }) => points.length === 0)) {
      this.say(job.is_terminal ? "The job recorded no curves." : "The curves begin with the first epoch.");
      return;
    }
    if (!this.message.hidden) this.say("");
    // Without early stopping no epoch is chosen: the last one is kept. Of a job that failed or was cancelled, nothing is.
    const kept = !["failed", "cancelled"].includes(job.state) && job.latest[`validation/${job.resolved?.early_stopping?.metric}`];
    this.settings = { ...this.settings, best: kept?.best_epoch ?? null, start: firstMoment(series) };
    this.note.textContent = this.about(job);
    this.show();
    if (!this.listing.hidden) this.list();
  }

  about(job) {
    const thinned = this.series.find(({ reduced }) => reduced);
    const live = job.is_terminal ? "" : job.state === "paused" ? "Paused. " : "Live. ";
    return thinned ? `${live}${count(thinned.points.length)} of ${count(thinned.count)} points, extremes kept.` : `${live}Drag to zoom, double-click for all.`;
  }

  set(changes) {
    Object.assign(this.settings, changes);
    this.show();
  }

  /** Give every panel its points; panels that stay keep their drawing, so that nothing flickers. */
  show() {
    if (!this.uPlot) return;
    for (const panel of panelsOf(this.series)) {
      if (panel.lines.every(({ points }) => points.length === 0)) continue;
      if (!this.panels.has(panel.metric) || this.panels.get(panel.metric).panel.lines.length !== panel.lines.length) this.add(panel);
      this.panels.get(panel.metric).show(panel, this.settings);
    }
  }

  add(panel) {
    const made = new CurvePanel(this.uPlot, panel, this);
    this.panels.get(panel.metric)?.element.remove();
    this.panels.set(panel.metric, made);
    this.body.append(made.element);
  }

  redraw(width) {
    this.width = width;
  }

  speak(sentence) {
    this.spoken.textContent = sentence;
  }

  table() {
    return tableOf(this.series);
  }

  /** Return all panels below each other as one picture. */
  picture() {
    const drawn = [...this.panels.values()].map(({ panel, drawn: { ctx } }) => [panel.title, ctx.canvas]);
    const line = 28 * devicePixelRatio;
    const whole = document.createElement("canvas");
    whole.width = Math.max(...drawn.map(([, canvas]) => canvas.width));
    whole.height = drawn.reduce((sum, [, canvas]) => sum + canvas.height + line, 0);
    const pen = whole.getContext("2d");
    const style = getComputedStyle(this);
    pen.fillStyle = style.getPropertyValue("--surface");
    pen.fillRect(0, 0, whole.width, whole.height);
    pen.fillStyle = style.getPropertyValue("--text");
    pen.font = `600 ${13 * devicePixelRatio}px ${style.fontFamily}`;
    let top = 0;
    for (const [title, canvas] of drawn) {
      pen.fillText(title, 8 * devicePixelRatio, top + 18 * devicePixelRatio);
      pen.drawImage(canvas, 0, top + line);
      top += canvas.height + line;
    }
    return new Promise((done) => whole.toBlob(done, "image/png"));
  }
}

customElements.define("cw-curves", Curves);
