// <cw-loss-explorer data-src="/api/v1/jobs">: losses and their gradients, side by side, while their settings move.
// The address holds all that is shown; data-src lists the jobs whose scores the gradient can be looked at.

import { html, segmented, svg } from "./elements.js";
import { fetchJson } from "./evaluation-store.js";
import { panels, point, probabilityAt } from "./explorer-chart.js";
import { lossOf, NAMES, fragmentOf, sharesOf, stateOf } from "./explorer-state.js";
import { Figure } from "./figure.js";
import { aurocOf } from "./gradient.js";
import { bars, rowsOf, sharesByLoss } from "./gradient-bars.js";
import { Trainer } from "./explorer-train.js";
import { lessonsOf } from "./lessons.js";
import { KINDS, logit, lossAt, termsOf } from "./losses.js";
import { fixed, number, percent } from "./scales.js";

const ALPHAS = [["", "none"], ["balanced", "by frequency"], ["number", "a number"]];
const WEIGHTS = [["inverse_frequency", "by frequency"], ["sqrt_inverse_frequency", "by its root"]];

class LossExplorer extends Figure {
  heading = "Loss and gradient";
  histogram = null;

  build() {
    this.state = stateOf(location.hash.slice(1));
    super.build();
    this.message.hidden = true;
    this.classList.add("chart-explorer");
    this.axisChoice = segmented("Axis to the right", [["probability", "p_t"], ["margin", "Logit"]], this.state.axis, (axis) => this.set({ axis }));
    this.heightChoice = segmented("Axis upwards", [["linear", "Linear"], ["log", "Log"]], this.state.height, (height) => this.set({ height }));
    this.controls.append(this.axisChoice, this.heightChoice);
    this.note.textContent = "What one row costs, and how hard it pulls at its logit. Drag over the curves, or use the arrow keys, to read them.";
    this.settings = html("form", { class: "chart-settings", "aria-label": "Losses and their settings", onsubmit: (event) => event.preventDefault() });
    this.reading = html("div", { class: "chart-scroll chart-reading-table" });
    this.sharing = html("section", { class: "chart-sharing" });
    this.lessons = html("section", { class: "chart-lessons" });
    const main = html("div", { class: "chart-explorer-main" }, this.body, this.listing, this.reading, this.sharing, this.lessons);
    this.append(html("div", { class: "chart-explorer-columns" }, this.settings, main));
    this.buildSettings();
    this.buildSharing();
    this.append(new Trainer(() => this.state.losses.map((kind) => lossOf(kind, this.state))).element);
    // Another link to this page, or the browser's back: the settings are made anew.
    addEventListener("hashchange", () => {
      this.state = stateOf(location.hash.slice(1));
      this.buildSettings();
      this.useJob(this.state.job);
    });
  }

  buildSettings() {
    this.fields = {};
    this.settings.replaceChildren(
      this.slider("prevalence", "Prevalence of the rare class", { from: Math.log10(0.001), to: Math.log10(0.5), out: (value) => 10 ** value, back: Math.log10, told: percent }),
      ...KINDS.map((kind) => this.choice(kind)),
    );
  }

  choice(kind) {
    const own = {
      balanced_cross_entropy: () => [this.select("weights", "Weights", WEIGHTS)],
      focal: () => [this.slider("gamma", "γ", { from: 0, to: 5, step: 0.1 }), this.alphaSetting()],
      logit_adjusted: () => [this.slider("tau", "τ", { from: 0, to: 2, step: 0.05 })],
      ldam: () => [this.slider("max_margin", "Margin", { from: 0.1, to: 1, step: 0.05 }), this.slider("scale", "Scale", { from: 1, to: 40, step: 1 })],
      poly: () => [this.slider("epsilon", "ε", { from: -1, to: 6, step: 0.1 })],
    }[kind];
    const box = html("input", { type: "checkbox", checked: this.state.losses.includes(kind), onchange: () => this.choose(kind, box.checked) });
    const sample = svg("svg", { class: "chart-sample", viewBox: "0 0 34 6", width: 34, height: 6, "aria-hidden": "true" }, svg("path", { d: "M0 3H34" }));
    const settings = html("div", { class: "chart-own", hidden: !box.checked }, own ? own() : []);
    this.fields[kind] = settings;
    return html("fieldset", { class: `loss-${kind.replaceAll("_", "-")}` }, html("label", {}, box, sample, html("strong", {}, NAMES[kind])), settings);
  }

  slider(name, label, { from, to, step = "any", out = Number, back = Number, told = number }) {
    const output = html("output", {}, told(this.state[name] ?? 0.25));
    const input = html("input", {
      type: "range", min: from, max: to, step: step === "any" ? (to - from) / 200 : step, value: back(this.state[name] ?? 0.25), name, "aria-label": label, "aria-valuetext": told(this.state[name] ?? 0.25),
      oninput: () => {
        const value = Number(out(input.valueAsNumber).toPrecision(3));
        output.textContent = told(value);
        input.setAttribute("aria-valuetext", told(value));
        this.set({ [name]: value });
      },
    });
    // No label element: it would be the output's, which comes first.
    const field = html("div", { class: "chart-setting" }, html("span", { "aria-hidden": "true" }, label), output, input);
    field.show = (value) => {
      input.value = back(value);
      output.textContent = told(value);
    };
    this.fields[name] = field;
    return field;
  }

  select(name, label, choices) {
    const field = html("select", { name, onchange: () => this.set({ [name]: field.value }) }, choices.map(([value, text]) => html("option", { value, selected: value === this.state[name] }, text)));
    return html("label", { class: "chart-setting chart-setting-line" }, html("span", {}, label), field);
  }

  alphaSetting() {
    const { alpha } = this.state;
    const kind = alpha === null ? "" : alpha === "balanced" ? "balanced" : "number";
    const slider = this.slider("alpha", "α of the rare class", { from: 0.01, to: 0.99, step: 0.01 });
    if (kind === "number") slider.show(alpha);
    else slider.show(0.25);
    slider.hidden = kind !== "number";
    const select = html("select", {
      name: "alpha_kind",
      onchange: () => {
        slider.hidden = select.value !== "number";
        this.set({ alpha: select.value === "" ? null : select.value === "balanced" ? "balanced" : slider.querySelector("input").valueAsNumber });
      },
    }, ALPHAS.map(([value, text]) => html("option", { value, selected: value === kind }, text)));
    return html("div", {}, html("label", { class: "chart-setting chart-setting-line" }, html("span", {}, "α"), select), slider);
  }

  buildSharing() {
    this.jobs = html("select", { name: "job", onchange: () => this.useJob(this.jobs.value || null) }, html("option", { value: "" }, "a calibrated model of"));
    this.modelField = this.slider("separation", "AUROC", { from: 0.2, to: 4, step: 0.05, told: (value) => number(aurocOf(value)) });
    this.shareBody = html("div", {});
    this.sharing.append(
      html("h4", {}, "Where the gradient goes"),
      html("div", { class: "chart-sharing-head" }, html("label", {}, "in ", this.jobs), this.modelField),
      html("p", { class: "chart-note" }, "Easy rows are those the model already gives more than half to their class."),
      this.shareBody,
    );
  }

  async load() {
    this.refresh();
    const { data } = await fetchJson(`${this.dataset.src}?${new URLSearchParams({ filter: "state = succeeded", limit: "30" })}`);
    this.jobs.append(...data.map((job) => html("option", { value: job.id }, `${job.name ?? job.id}`)));
    if (this.state.job !== null) await this.useJob(this.state.job);
  }

  /** Look at the scores of a job; its prevalence becomes the one on show. */
  async useJob(job) {
    this.histogram = null;
    this.modelField.hidden = job !== null;
    if (job === null) return this.set({ job });
    if (![...this.jobs.options].some(({ value }) => value === job)) this.jobs.append(html("option", { value: job }, job));
    this.jobs.value = job;
    try {
      const { splits } = await fetchJson(`${this.dataset.src}/${job}/evaluation`);
      const { validation } = splits;
      if (validation.curves === null) throw new Error("it has several classes; the explorer shows two");
      this.histogram = validation.curves.score_histogram;
      const rare = this.histogram.positives.reduce((sum, rows) => sum + rows, 0) / validation.rows;
      const prevalence = Number(Math.min(0.5, Math.max(0.001, rare)).toPrecision(3));
      this.fields.prevalence.show(prevalence);
      this.set({ job, prevalence });
    } catch (problem) {
      this.set({ job: null });
      this.modelField.hidden = false;
      this.jobs.value = "";
      this.shareBody.replaceChildren(html("p", { class: "chart-message" }, `No scores of that job: ${problem.message}`));
    }
  }

  choose(kind, isShown) {
    this.fields[kind].hidden = !isShown;
    this.set({ losses: KINDS.filter((each) => (each === kind ? isShown : this.state.losses.includes(each))) });
  }

  set(changes) {
    this.state = { ...this.state, ...changes };
    const fragment = fragmentOf(this.state);
    history.replaceState(history.state, "", `${location.pathname}${location.search}${fragment && "#"}${fragment}`);
    this.refresh();
  }

  refresh() {
    this.axisChoice.press(this.state.axis);
    this.heightChoice.press(this.state.height);
    if (this.width) this.redraw();
    this.read();
    this.shareBody.replaceChildren(...bars(this.found()));
    this.lessons.replaceChildren(...this.taught());
  }

  found() {
    return sharesByLoss(this.state, rowsOf(this.state, this.histogram));
  }

  draw(width) {
    const drawing = panels(this.state, width);
    this.handle = svg("g", { role: "slider", tabindex: "0", "aria-label": "Read the curves at p_t", "aria-valuemin": "0", "aria-valuemax": "1", "aria-valuenow": String(this.state.at), class: "chart-handle" });
    drawing.append(this.handle);
    drawing.classList.add("chart-movable");
    drawing.setAttribute("role", "group");
    this.handle.addEventListener("keydown", (event) => this.keyed(event));
    const follow = (event) => {
      const box = drawing.getBoundingClientRect();
      const factor = drawing.viewBox.baseVal.width / box.width;
      const at = probabilityAt(drawing, this.state.axis, (event.clientX - box.left) * factor, (event.clientY - box.top) * factor);
      if (at !== null) this.look(at);
    };
    drawing.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse" || event.buttons) follow(event); });
    drawing.addEventListener("pointerdown", follow);
    return drawing;
  }

  redraw(width) {
    const hadFocus = this.handle !== undefined && document.activeElement === this.handle;
    super.redraw(width);
    if (this.drawing()) point(this.drawing(), logit(this.state.at), this.state.axis);
    if (hadFocus) this.handle.focus();
  }

  keyed(event) {
    const step = { ArrowLeft: -0.01, ArrowRight: 0.01, ArrowDown: -0.01, ArrowUp: 0.01, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    this.look(Math.min(0.999, Math.max(0.001, Number((this.state.at + step).toFixed(3)))));
  }

  /** Read the curves at a p_t; only the cursor and the numbers move. */
  look(at) {
    this.state = { ...this.state, at: Number(at.toFixed(3)) };
    if (this.drawing()) point(this.drawing(), logit(this.state.at), this.state.axis);
    this.read();
  }

  readings() {
    const margin = logit(this.state.at);
    const plain = lossAt(termsOf({ kind: "cross_entropy" }, [0.5, 0.5]), 1, margin);
    return this.state.losses.map((kind) => {
      const terms = termsOf(lossOf(kind, this.state), sharesOf(this.state));
      const of = (target) => {
        const { value, slope } = lossAt(terms, target, margin);
        return [value, Math.abs(slope), Math.abs(slope / plain.slope)];
      };
      return [kind, ...of(1), ...of(0)];
    });
  }

  read() {
    this.handle?.setAttribute("aria-valuenow", String(this.state.at));
    this.handle?.setAttribute("aria-valuetext", `p_t ${fixed(this.state.at)}`);
    const columns = ["loss", "gradient", "× CE"];
    this.reading.replaceChildren(
      html(
        "table",
        {},
        html("caption", {}, "At ", html("strong", {}, `p_t = ${fixed(this.state.at)}`)),
        html("thead", {}, html("tr", {}, html("td", {}), html("th", { scope: "colgroup", colspan: 3 }, "rare class"), html("th", { scope: "colgroup", colspan: 3 }, "common class")), html("tr", {}, html("td", {}), [...columns, ...columns].map((name) => html("th", { scope: "col" }, name)))),
        html("tbody", {}, this.readings().map(([kind, ...values]) => html("tr", {}, html("th", { scope: "row", class: `loss-${kind.replaceAll("_", "-")}` }, NAMES[kind]), values.map((value) => html("td", {}, number(value)))))),
      ),
    );
  }

  taught() {
    const told = lessonsOf(this.state);
    if (told.length === 0) return [];
    return [html("h4", {}, "What to notice"), html("ul", {}, told.map(({ kind, text }) => html("li", { class: `loss-${kind.replaceAll("_", "-")}` }, html("strong", {}, `${NAMES[kind]}. `), text)))];
  }

  table() {
    const columns = ["loss", "rare loss", "rare gradient", "rare × CE", "common loss", "common gradient", "common × CE", ...["rare_hard", "rare_easy", "common_easy", "common_hard"].map((name) => `gradient share ${name}`)];
    const shares = this.found();
    return { columns, rows: this.readings().map(([kind, ...values], index) => [kind, ...values, ...Object.values(shares[index][1])]) };
  }
}

customElements.define("cw-loss-explorer", LossExplorer);
