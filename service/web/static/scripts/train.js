/* The forms of a dataset's page: compare losses in a study, train each once, or read the file again with a target. */

import { Problem, send, tell } from "./api.js";

/** What "at least 0.9" in the form stands for. */
const FLOOR = 0.9;

document.addEventListener("input", (event) => {
  const form = event.target.closest("[data-train]");
  if (form) tellJobs(form);
});

document.addEventListener("submit", async (event) => {
  const form = event.target;
  const isEach = event.submitter?.value === "each";
  const act = form.matches("[data-train]") ? (isEach ? trainEach : compare) : form.matches("[data-retarget]") ? retarget : null;
  if (!act) return;
  event.preventDefault();
  const buttons = form.querySelectorAll("[type=submit]");
  for (const button of buttons) button.disabled = true;
  tell(form, null);
  try {
    location.assign(await act(form));
  } catch (problem) {
    tell(form, problem);
    for (const button of buttons) button.disabled = false;
  }
});

/** Create a study of the losses; return its address. */
async function compare(form) {
  const losses = ticked(form);
  if (losses.length < 2) throw new Problem({ detail: "Tick at least two losses to compare, or train one once." }, 0);
  const { runs, metric, minimum_difference: minimum, name } = filled(form);
  const study = { base: recipe(form), losses, seeds: Array.from({ length: Number(runs) }, (_, seed) => seed) };
  if (metric) study.metric = metric;
  if (minimum) study.minimum_difference = Number(minimum);
  if (name) study.name = name;
  return `/ui/studies/${(await send("POST", "/api/v1/studies", study)).id}`;
}

/** Submit a job for each loss, one after another; return the address to go to. */
async function trainEach(form) {
  const jobs = [];
  const { name } = filled(form);
  for (const loss of ticked(form)) jobs.push(await send("POST", "/api/v1/jobs", { ...recipe(form), ...(name && { name }), loss }));
  return jobs.length === 1 ? `/ui/jobs/${jobs[0].id}` : `/ui/jobs?${new URLSearchParams({ filter: `dataset_id = "${form.dataset.dataset}"` })}`;
}

/** The chosen losses; there must be one. */
function ticked(form) {
  const losses = chosenLosses(form);
  if (!losses.length) throw new Problem({ detail: "Tick at least one loss." }, 0);
  return losses;
}

/** Say how many jobs a comparison would be. */
function tellJobs(form) {
  const losses = chosenLosses(form).length;
  const runs = Number(form.elements.runs.value);
  form.querySelector("[data-jobs]").textContent = losses > 1 && runs > 1 ? `${losses} losses × ${runs} runs: ${losses * runs} jobs` : "";
}

function chosenLosses(form) {
  return [...form.querySelectorAll("[name=loss]:checked")].map((box) => {
    const fields = [...box.closest(".choice").querySelectorAll("[data-parameter]")].filter((field) => field.value !== "");
    return { kind: box.value, ...Object.fromEntries(fields.map((field) => [field.dataset.parameter, JSON.parse(field.value)])) };
  });
}

/** The fields that were filled in. */
function filled(form) {
  return Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
}

/** What the losses share. What is left empty is left to the server. */
function recipe(form) {
  const given = filled(form);
  const spec = { dataset_id: form.dataset.dataset, training: {} };
  if (given.max_epochs) spec.training.max_epochs = Number(given.max_epochs);
  if (given.kind) spec.learner = { kind: given.kind };
  if (given.split) spec.split = { kind: given.split };
  if (given.policy) spec.evaluation = { threshold: threshold(form.elements.policy.selectedOptions[0]) };
  return spec;
}

function threshold({ value, dataset }) {
  return { policy: value, ...(dataset.needs && { [dataset.needs]: FLOOR }) };
}

async function retarget(form) {
  const source = { source_dataset_id: form.dataset.dataset, options: { target: form.elements.target.value } };
  return `/ui/datasets/${(await send("POST", "/api/v1/datasets", source)).id}`;
}
