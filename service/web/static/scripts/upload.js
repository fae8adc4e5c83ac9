/* The upload form: a file dropped or chosen, the target found in a table's first line, and how far it has come. */

import { Problem, tell } from "./api.js";

const HEAD_BYTES = 64 * 1024;
const OPTIONS = ["target", "positive_label", "delimiter", "decimal", "header", "encoding", "exclude", "group_column", "time_column", "weight_column", "image_size"];

const form = document.querySelector("[data-upload]");
const input = form.elements.file;
const drop = form.querySelector(".drop");

input.addEventListener("change", () => choose(input.files[0]));
for (const [name, isOver] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("drop-over", isOver);
  });
}
drop.addEventListener("drop", (event) => {
  if (!event.dataTransfer.files.length) return;
  input.files = event.dataTransfer.files;
  choose(input.files[0]);
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  tell(form, null);
  try {
    location.assign(`/ui/datasets/${(await upload(input.files[0])).id}`);
  } catch (problem) {
    tell(form, problem);
    form.querySelector("[data-course]").hidden = true;
    button.disabled = false;
  }
});

async function choose(file) {
  if (!file) return;
  tell(form, null);
  form.querySelector("[data-file-name]").textContent = file.name;
  form.querySelector("[data-file-facts]").textContent = bytes(file.size);
  form.querySelector("[data-once-chosen]").hidden = false;
  const columns = await columnsOf(file);
  form.querySelector("datalist").replaceChildren(...columns.map((name) => new Option(name, name)));
  form.elements.target.focus();
}

/** The names in the first line of a text file; none for what is no text. */
async function columnsOf(file) {
  const head = await file.slice(0, HEAD_BYTES).text();
  if (/[\0\ufffd]/.test(head)) return [];
  const line = head.replace(/^\ufeff/, "").split(/\r?\n/, 1)[0];
  const delimiter = [",", ";", "\t", "|"].reduce((best, one) => (line.split(one).length > line.split(best).length ? one : best));
  return line.split(delimiter).map((name) => name.trim().replace(/^"(.*)"$/, "$1")).filter(Boolean);
}

/** Send the file; XMLHttpRequest and not fetch, which cannot say how far an upload is. */
function upload(file) {
  const body = new FormData();
  // The server streams the file as it comes, so that what describes it goes first.
  body.append("options", JSON.stringify(options()));
  if (form.elements.name.value) body.append("name", form.elements.name.value);
  body.append("file", file);
  const course = form.querySelector("[data-course]");
  course.hidden = false;
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.upload.addEventListener("progress", ({ loaded, total }) => show(course, loaded, total));
    request.addEventListener("load", () => {
      const answer = parsed(request.responseText);
      if (request.status < 300) resolve(answer);
      else reject(new Problem(answer, request.status));
    });
    request.addEventListener("error", () => reject(new Problem({ detail: "The upload broke off. Is the server still running?" }, 0)));
    request.open("POST", form.action);
    request.send(body);
  });
}

function options() {
  const given = {};
  for (const name of OPTIONS) {
    const value = form.elements[name].value;
    if (value !== "") given[name] = value;
  }
  if (given.image_size) given.image_size = Number(given.image_size);
  if (given.header) given.header = given.header === "true";
  if (given.exclude) given.exclude = given.exclude.split(",").map((name) => name.trim()).filter(Boolean);
  return given;
}

function show(course, loaded, total) {
  course.querySelector("progress").value = loaded / total;
  course.querySelector("[data-course-text]").textContent = loaded < total ? `${bytes(loaded)} of ${bytes(total)}` : "Stored; reading begins";
}

function bytes(count) {
  const unit = count < 1e6 ? ["kB", 1e3] : count < 1e9 ? ["MB", 1e6] : ["GB", 1e9];
  return `${(count / unit[1]).toFixed(1)} ${unit[0]}`;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
