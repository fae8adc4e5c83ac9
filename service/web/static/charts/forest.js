// <cw-forest data-src="/api/v1/studies/…">: the arms' paired differences with their intervals, and which are too small to matter.

import { across, canvas, crisp } from "./axes.js";
import { pairsOf, pValue, reachOf, shortened } from "./arms.js";
import { segmented, svg } from "./elements.js";
import { Figure } from "./figure.js";
import { reasonInWords } from "./operating.js";
import { fixed, number, scale } from "./scales.js";
import { studyOf } from "./study-store.js";

const ROW = 46;
const TOP = 22;
const BOTTOM = 40;
const MOST = 24;
const CHARACTER = 6.1;
const SIGNIFICANT = 0.05;
const KINDS = [["leader", "The leader's"], ["all", "All pairs"]];

class Forest extends Figure {
  heading = "Paired differences";
  kind = "leader";
  version = null;

  build() {
    super.build();
    const choose = (kind) => {
      this.kind = kind;
      this.choice.press(kind);
      this.refresh();
    };
    this.choice = segmented("Which pairs", KINDS, this.kind, choose);
    this.choice.hidden = true;
    this.controls.append(this.choice);
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

  get study() {
    return this.store?.study;
  }

  get pairs() {
    return pairsOf(this.study, this.kind === "all");
  }

  isReady() {
    return Boolean(this.study?.comparisons.length);
  }

  look() {
    const { study, problem } = this.store;
    if (!study) return this.say(problem.message);
    if (study.version === this.version) return;
    this.version = study.version;
    this.choice.hidden = study.comparisons.length === pairsOf(study, false).length;
    this.refresh();
  }

  refresh() {
    const { study } = this;
    this.say(this.isReady() ? "" : this.absence());
    this.note.textContent = this.isReady() ? this.about() : "";
    if (this.isReady()) this.redraw();
    this.switch.disabled = !this.isReady();
    if (!this.listing.hidden) this.list();
  }

  absence() {
    if (this.study.phase === "comparing") return "The arms are being compared.";
    if (!this.study.is_terminal) return "They come when all jobs have ended: only then have the arms the same runs on the same rows.";
    return "The arms were not compared.";
  }

  about() {
    const { study, pairs } = this;
    const first = this.kind === "leader" ? `${study.leaderboard[0].arm} minus each other arm` : "The first arm minus the second";
    const hidden = pairs.length > MOST ? ` The first ${MOST} of ${pairs.length}; the table has all.` : "";
    const turned = study.goal === "min" ? " Below zero the first is better." : "";
    return `${first}, on the same rows and seeds; p by Holm over all pairs.${turned}${hidden}`;
  }

  draw(width) {
    const { study } = this;
    const pairs = this.pairs.slice(0, MOST);
    const height = TOP + pairs.length * ROW + BOTTOM;
    const [top, bottom] = [TOP, height - BOTTOM];
    const x = scale(reachOf(pairs, study.spec.minimum_difference), [6, width - 6]);
    const drawing = canvas(width, height, `${this.heading}: ${pairs.map((pair) => this.told(pair)).join("; ")}`);
    drawing.append(
      this.band(x, top, bottom),
      across(x, [bottom, top], `difference in ${study.metric.replaceAll("_", " ")}`),
      svg("line", { class: "forest-zero", x1: crisp(x(0)), x2: crisp(x(0)), y1: top, y2: bottom }),
      ...pairs.map((pair, index) => this.row(pair, x, top + index * ROW, width)),
    );
    return drawing;
  }

  /** The differences that are too small to matter. */
  band(x, top, bottom) {
    const minimum = this.study.spec.minimum_difference;
    const [left, right] = [x(-minimum), x(minimum)];
    const group = svg("g", {}, svg("rect", { class: "forest-band", x: left, y: top, width: Math.max(0, right - left), height: bottom - top }));
    const words = `under ${number(minimum)}: too small to matter`;
    const middle = (left + right) / 2;
    const half = (words.length * CHARACTER) / 2;
    const at = Math.min(Math.max(middle, half), x.range[1] - half);
    if (minimum > 0) group.append(svg("text", { class: "chart-label", x: at, y: top - 8, "text-anchor": "middle" }, words));
    return group;
  }

  row(pair, x, top, width) {
    const middle = top + 31;
    const told = pair.difference === null ? reasonInWords(pair.reason) : `${signed(pair.difference)}   ${pair.p_adjusted === null ? reasonInWords(pair.reason) : `p ${pValue(pair.p_adjusted)}`}`;
    const isLeaders = this.kind === "leader" && pair.a === this.study.leaderboard[0].arm;
    const name = isLeaders ? `over ${pair.b}` : `${pair.a} − ${pair.b}`;
    const room = Math.floor((width - 18 - told.length * CHARACTER) / CHARACTER);
    const group = svg(
      "g",
      { class: `forest-row ${pair.p_adjusted !== null && pair.p_adjusted < SIGNIFICANT ? "forest-sure" : ""}` },
      svg("title", {}, this.told(pair)),
      svg("rect", { class: "forest-ground", x: 0, y: top, width, height: ROW }),
      svg("text", { class: "forest-name", x: 6, y: top + 16 }, shortened(name, room)),
      svg("text", { class: "forest-told", x: width - 6, y: top + 16, "text-anchor": "end" }, told),
    );
    if (pair.low !== null) group.append(svg("path", { class: "forest-span", d: `M${x(pair.low).toFixed(1)} ${middle}H${x(pair.high).toFixed(1)}M${x(pair.low).toFixed(1)} ${middle - 4}v8M${x(pair.high).toFixed(1)} ${middle - 4}v8` }));
    if (pair.difference !== null) group.append(svg("circle", { class: "forest-dot", cx: x(pair.difference), cy: middle, r: 5 }));
    return group;
  }

  told({ a, b, difference, low, high, p_adjusted: p, reason, wins, ties, runs }) {
    if (difference === null) return `${a} minus ${b}: ${reasonInWords(reason)}`;
    const interval = low === null ? `no interval (${reasonInWords(reason)})` : `95% interval ${signed(low)} to ${signed(high)}`;
    return `${a} minus ${b}: ${signed(difference)}, ${interval}, p ${pValue(p)}, better in ${wins} of ${runs} runs${ties ? `, equal in ${ties}` : ""}`;
  }

  table() {
    const rows = this.study.comparisons.map((pair) => [pair.a, pair.b, pair.difference, pair.low, pair.high, pair.p_value, pair.p_adjusted, pair.wins, pair.ties, pair.runs, pair.reason]);
    return { columns: ["a", "b", "a minus b", "low", "high", "p", "p, Holm", "wins", "ties", "runs", "reason"], rows: rows.map((row) => row.map(rounded)) };
  }
}

function signed(value) {
  return `${value > 0 ? "+" : ""}${fixed(value, 4)}`;
}

function rounded(value) {
  return typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;
}

customElements.define("cw-forest", Forest);
