/* The forms of a dataset's page: submit a job for each loss, or read the file again with a target. */

import { Problem, send, tell } from "./api.js";

/** What "at least 0.9" in the form stands for. */
const FLOOR = 0.9;

document.addEventListener("submit", async (event) => {
  const form = event.target;
  const act = form.matches("[data-train]") ? train : form.matches("[data-retarget]") ? retarget : null;
  if (!act) return;
  event.preventDefault();
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  tell(form, null);
  try {
    location.assign(await act(form));
  } catch (problem) {
    tell(form, problem);
    button.disabled = false;
  }
});

/** Submit the jobs, one after another; return the address to go to. */
async function train(form) {
  const losses = chosenLosses(form);
  if (!losses.length) throw new Problem({ detail: "Tick at least one loss." }, 0);
  const jobs = [];
  for (const loss of losses) jobs.push(await send("POST", "/api/v1/jobs", { ...common(form), loss }));
  return jobs.length === 1 ? `/ui/jobs/${jobs[0].id}` : `/ui/jobs?${new URLSearchParams({ filter: `dataset_id = "${form.dataset.dataset}"` })}`;
}

function chosenLosses(form) {
  return [...form.querySelectorAll("[name=loss]:checked")].map((box) => {
    const fields = [...box.closest(".choice").querySelectorAll("[data-parameter]")].filter((field) => field.value !== "");
    return { kind: box.value, ...Object.fromEntries(fields.map((field) => [field.dataset.parameter, JSON.parse(field.value)])) };
  });
}

/** The part of the specification that the losses share. What is left empty is left to the server. */
function common(form) {
  const given = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
  const training = {};
  if (given.max_epochs) training.max_epochs = Number(given.max_epochs);
  if (given.seed) training.seed = Number(given.seed);
  const spec = { dataset_id: form.dataset.dataset, training };
  if (given.name) spec.name = given.name;
  if (given.kind) spec.learner = { kind: given.kind };
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
