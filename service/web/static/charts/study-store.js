// One study on the page, asked for again and again while it goes on.

import { fetchJson } from "./evaluation-store.js";

const EACH_MS = 1000;
const HIDDEN_MS = 5000;
const stores = new Map();

/** Return the store of a study's address; all elements with the same address share it. */
export function studyOf(source) {
  if (!stores.has(source)) stores.set(source, new StudyStore(source));
  return stores.get(source);
}

/** Fires `look` each time the study was read; `study` is null before. */
class StudyStore extends EventTarget {
  constructor(source) {
    super();
    this.source = source;
    this.study = null;
    this.problem = null;
    this.followers = new Set();
  }

  follow(element, see) {
    this.followers.add(element);
    this.addEventListener("look", see);
    if (this.study) see();
    this.running ??= this.run();
  }

  leave(element, see) {
    this.followers.delete(element);
    this.removeEventListener("look", see);
  }

  /** Ask until the study is over or nobody listens any more. A failure is told and tried again, for servers are restarted. */
  async run() {
    while (this.followers.size > 0) {
      try {
        this.study = await fetchJson(this.source);
        this.problem = null;
      } catch (problem) {
        this.problem = problem;
      }
      this.dispatchEvent(new Event("look"));
      if (this.study?.is_terminal || this.problem?.status === 404) break;
      await new Promise((resume) => setTimeout(resume, document.hidden ? HIDDEN_MS : EACH_MS));
    }
    this.running = null;
  }
}
