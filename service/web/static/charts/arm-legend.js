// The arms of a study by name: each with its line, its figure, and a switch.

import { html, svg } from "./elements.js";

/** `flip(arm)` is called when an arm is to be shown or hidden, `point(arm)` when its name is pointed at; null when no more. */
export class ArmLegend {
  constructor(flip, point) {
    this.flip = flip;
    this.point = point;
    this.element = html("ul", { class: "arm-legend" });
  }

  /** Show the rows `{arm, look, isShown, figure}`; entries are kept, so that focus stays where it is. */
  show(rows) {
    const list = this.element;
    while (list.childElementCount < rows.length) list.append(this.entry());
    while (list.childElementCount > rows.length) list.lastChild.remove();
    rows.forEach((row, index) => this.fill(list.children[index].firstElementChild, row));
  }

  entry() {
    const sample = svg("svg", { class: "arm-sample", viewBox: "0 0 22 4", "aria-hidden": "true" }, svg("path", { class: "arm-line", d: "M1 2h20" }));
    const button = html("button", { type: "button" }, sample, html("span", { class: "arm-title" }), html("span", { class: "arm-figure" }));
    button.addEventListener("click", () => this.flip(button.dataset.arm));
    for (const name of ["pointerenter", "focus"]) button.addEventListener(name, () => this.point(button.dataset.arm));
    for (const name of ["pointerleave", "blur"]) button.addEventListener(name, () => this.point(null));
    return html("li", {}, button);
  }

  fill(button, { arm, look, isShown, figure }) {
    const [, title, value] = button.children;
    button.dataset.arm = button.title = title.textContent = arm;
    button.className = `arm-button ${look}`;
    button.setAttribute("aria-pressed", String(isShown));
    value.textContent = figure;
  }
}
