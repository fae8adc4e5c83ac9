// What all charts share: a heading, a note, a table of the same numbers, and ways to take them home.

import { html, tableOf } from "./elements.js";
import { csv, png, save, standalone } from "./saving.js";

const NARROWEST = 220;

/**
 * A chart. Subclasses give `heading`, `load()`, `draw(width)` which returns an element, and `table()` which returns `{columns, rows}`.
 *
 * It is drawn anew when its width changes; what needs less redraws it by itself.
 */
export class Figure extends HTMLElement {
  heading = "";

  connectedCallback() {
    if (!this.body) this.build();
    this.watcher = new ResizeObserver(([entry]) => {
      const width = Math.round(entry.contentRect.width);
      if (width !== this.width) this.redraw(width);
    });
    this.watcher.observe(this.body);
    Promise.resolve(this.load()).catch((problem) => this.say(problem.message));
  }

  disconnectedCallback() {
    this.watcher.disconnect();
  }

  build() {
    this.classList.add("chart");
    this.note = html("p", { class: "chart-note" });
    this.controls = html("div", { class: "chart-controls" });
    this.body = html("div", { class: "chart-body" });
    this.listing = html("div", { class: "chart-listing", hidden: true, tabindex: "0", role: "region", "aria-label": `${this.heading}, table` });
    this.message = html("p", { class: "chart-message", role: "status" }, "Loading…");
    this.replaceChildren(
      html("div", { class: "chart-head" }, html("h3", {}, this.heading), this.controls, this.actions()),
      this.note,
      this.message,
      this.body,
      this.listing,
    );
  }

  actions() {
    this.switch = html("button", { type: "button", class: "chart-quiet", "aria-pressed": "false", onclick: () => this.flip() }, "Table");
    const menu = html(
      "details",
      { class: "chart-save" },
      html("summary", { class: "chart-quiet" }, "Save"),
      html("div", {}, this.formats().map(([name, run]) => html("button", { type: "button", onclick: () => { menu.open = false; if (this.isReady()) run(); } }, name))),
    );
    menu.addEventListener("focusout", (event) => { if (!menu.contains(event.relatedTarget)) menu.open = false; });
    menu.addEventListener("keydown", (event) => { if (event.key === "Escape") menu.open = false; });
    return html("div", { class: "chart-actions" }, this.switch, menu);
  }

  formats() {
    return [
      ["CSV", () => save(`${this.fileName()}.csv`, "text/csv", csv(this.table()))],
      ["SVG", () => save(`${this.fileName()}.svg`, "image/svg+xml", standalone(this.drawing()))],
      ["PNG", async () => save(`${this.fileName()}.png`, "image/png", await png(this.drawing()))],
    ];
  }

  drawing() {
    return this.body.querySelector("svg");
  }

  fileName() {
    const owner = (this.dataset.src ?? "").match(/[a-z]+_[0-9A-Z]+/)?.[0];
    return [owner, this.localName.replace("cw-", "")].filter(Boolean).join("-");
  }

  /** Show a sentence instead of the chart; none shows the chart again. */
  say(sentence) {
    this.message.textContent = sentence;
    this.message.hidden = sentence === "";
    this.body.classList.toggle("chart-empty", sentence !== "");
    if (sentence !== "") this.body.replaceChildren();
  }

  redraw(width = this.width) {
    this.width = width;
    if (!this.isReady() || width < NARROWEST / 2) return;
    const drawn = this.draw(Math.max(NARROWEST, width));
    if (drawn) this.body.replaceChildren(...[drawn].flat());
    if (!this.listing.hidden) this.list();
  }

  /** Tell that there is something to draw, to list and to save. */
  isReady() {
    return true;
  }

  list() {
    this.listing.replaceChildren(...(this.isReady() ? [tableOf(this.table(), this.heading)] : []));
  }

  flip() {
    const isTable = this.listing.hidden;
    this.switch.setAttribute("aria-pressed", String(isTable));
    this.switch.textContent = isTable ? "Chart" : "Table";
    this.listing.hidden = !isTable;
    // Kept in the flow while hidden from view, so that its width stays known.
    this.body.classList.toggle("chart-hidden", isTable);
    if (isTable) this.list();
  }
}
