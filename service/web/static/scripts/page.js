/* What every page has: themes, keys, rows that open, copying, dialogs and tabs. */

const THEMES = ["system", "light", "dark"];

function theme() {
  return localStorage.getItem("theme") ?? "system";
}

function showTheme() {
  const chosen = theme();
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  const label = document.querySelector("[data-theme-switch] span");
  if (label) label.textContent = chosen[0].toUpperCase() + chosen.slice(1);
  document.dispatchEvent(new CustomEvent("themechange"));
}

function nextTheme() {
  localStorage.setItem("theme", THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
  showTheme();
}

showTheme();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-theme-switch], [data-help], [data-copy], [data-opens], [data-closes], [role=tab]");
  if (target) {
    if (target.matches("[data-theme-switch]")) nextTheme();
    else if (target.matches("[data-help]")) document.getElementById("help").showModal();
    else if (target.matches("[data-copy]")) copy(target);
    else if (target.matches("[data-opens]")) document.getElementById(target.dataset.opens).showModal();
    else if (target.matches("[data-closes]")) target.closest("dialog").close();
    else showTab(target);
    return;
  }
  if (event.target.matches("dialog")) event.target.close(); // Beside the dialog, on its backdrop.
  const row = event.target.closest("[data-row]");
  if (row && !event.target.closest("a, button") && !getSelection().toString()) row.querySelector("a.row-link").click();
});

async function copy(button) {
  const source = button.dataset.copy ? button : button.parentElement.querySelector("pre");
  // Browsers lend the clipboard to encrypted and local pages only; elsewhere the text is selected, for the user to copy.
  if (!navigator.clipboard) return getSelection().selectAllChildren(source);
  await navigator.clipboard.writeText(source.textContent.trim());
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), 1500);
}

function showTab(tab) {
  for (const other of tab.parentElement.children) {
    const isChosen = other === tab;
    other.setAttribute("aria-selected", String(isChosen));
    other.tabIndex = isChosen ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).hidden = !isChosen;
  }
}

/* Keys. */

const PLACES = { j: "/ui/jobs", s: "/ui/studies", d: "/ui/datasets", l: "/ui/losses", w: "/ui/workers" };
let wentAt = -Infinity;

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("[role=tab]")) return moveTab(event);
  if (event.target.matches("input, select, textarea, [contenteditable]")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.timeStamp - wentAt < 1000 && PLACES[event.key]) return location.assign(PLACES[event.key]);
  wentAt = event.key === "g" ? event.timeStamp : -Infinity;
  const acts = { "?": () => document.getElementById("help").showModal(), "/": search, j: () => step(1), k: () => step(-1), t: nextTheme };
  if (acts[event.key]) {
    event.preventDefault();
    acts[event.key]();
  }
});

function search() {
  document.querySelector("[data-search]")?.focus();
}

function step(by) {
  const links = [...document.querySelectorAll("[data-row] a.row-link")];
  const place = links.indexOf(document.activeElement);
  links[Math.min(Math.max(place + by, 0), links.length - 1)]?.focus();
}

function moveTab(event) {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const tabs = [...event.target.parentElement.children];
  const next = by && tabs[(tabs.indexOf(event.target) + by + tabs.length) % tabs.length];
  if (!next) return;
  showTab(next);
  next.focus();
}

/* A log stays at its end while it grows, unless somebody has scrolled up to read. */

const END_PX = 40;

function toEnd() {
  for (const log of document.querySelectorAll("[data-follow]")) log.scrollTop = log.scrollHeight;
}

toEnd();
document.addEventListener("htmx:before:swap", () => {
  const log = document.querySelector("[data-follow]");
  const isAtEnd = log && log.scrollHeight - log.scrollTop - log.clientHeight < END_PX;
  if (isAtEnd) document.addEventListener("htmx:after:swap", toEnd, { once: true });
});

/* Pages that nobody looks at do not ask again and again. */

document.addEventListener("htmx:before:request", (event) => {
  if (document.hidden && event.detail.ctx.sourceEvent?.type === "every") event.preventDefault();
});
