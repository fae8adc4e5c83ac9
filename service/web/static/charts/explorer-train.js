// "Try these": the losses on show compared on a dataset one has, or the one on show trained on it.

import { send } from "../scripts/api.js";
import { html } from "./elements.js";
import { fetchJson } from "./evaluation-store.js";
import { count } from "./scales.js";

/** The form; `losses()` returns what to train. It is absent until there is a dataset to train on. */
export class Trainer {
  constructor(losses) {
    this.losses = losses;
    this.datasets = html("select", { name: "dataset" });
    this.flaw = html("p", { class: "chart-flaw", role: "alert" });
    this.button = html("button", { type: "submit", class: "button button-strong" }, "Compare them");
    const form = html("form", { onsubmit: (event) => this.submit(event) }, html("label", {}, "on ", this.datasets), this.button, this.flaw);
    this.element = html("section", { class: "chart-train", hidden: true }, html("h4", {}, "Try these"), form);
    this.fill().catch(() => {});
  }

  async fill() {
    const { data } = await fetchJson("/api/v1/datasets?limit=100");
    const ready = data.filter(({ state, target }) => state === "ready" && target !== null);
    this.datasets.append(...ready.map(({ id, name, rows, classes }) => html("option", { value: id }, `${name}, ${count(rows)} rows, ${classes.length} classes`)));
    this.element.hidden = ready.length === 0;
  }

  async submit(event) {
    event.preventDefault();
    this.button.disabled = true;
    this.flaw.textContent = "";
    try {
      location.assign(await this.start(this.datasets.value, this.losses()));
    } catch (problem) {
      this.flaw.textContent = problem.message;
      this.button.disabled = false;
    }
  }

  /** A study of several losses, a job with one; return its address. */
  async start(dataset, losses) {
    if (losses.length === 0) throw new Error("Tick at least one loss.");
    if (losses.length === 1) return `/ui/jobs/${(await send("POST", "/api/v1/jobs", { dataset_id: dataset, loss: losses[0] })).id}`;
    return `/ui/studies/${(await send("POST", "/api/v1/studies", { base: { dataset_id: dataset }, losses })).id}`;
  }
}
