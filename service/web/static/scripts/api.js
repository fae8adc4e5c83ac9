/* Asking the JSON API from a page, and telling what it refuses. */

/** A refusal: `detail` says what and what to do, `errors` which fields. */
export class Problem extends Error {
  constructor(body, status) {
    super(body?.detail ?? `The server answered ${status}.`);
    this.errors = body?.errors ?? [];
  }
}

/** Send JSON and return the answer's; throws a Problem. A repeat of the same request makes nothing twice. */
export async function send(method, path, body) {
  const headers = { "Content-Type": "application/json", Accept: "application/json", "Idempotency-Key": randomKey() };
  const response = await reach(() => fetch(path, { method, headers, body: JSON.stringify(body), credentials: "same-origin" }));
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Problem(answer, response.status);
  return answer;
}

/** Show in a form what went wrong, and mark the field it is about. */
export function tell(form, problem) {
  form.querySelector("[data-flaw]").textContent = problem ? problem.message : "";
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  for (const { pointer } of problem?.errors ?? []) {
    form.querySelector(`[name="${CSS.escape(pointer.split("/").at(-1))}"]`)?.setAttribute("aria-invalid", "true");
  }
}

async function reach(ask) {
  try {
    return await ask();
  } catch {
    throw new Problem({ detail: "The server does not answer. Is it still running?" }, 0);
  }
}

function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
