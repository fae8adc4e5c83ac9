// Makes elements. Strings become text nodes, so that a label which holds markup stays a label.

const SVG = "http://www.w3.org/2000/svg";

/** Return an HTML element; attributes that are null or false are left out, `onclick` and the like are listeners. */
export function html(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Return a group of buttons of which one is pressed: `choices` are `[value, label]`. */
export function segmented(label, choices, chosen, choose) {
  const buttons = choices.map(([value, text]) =>
    html("button", { type: "button", "data-value": value, "aria-pressed": String(value === chosen), onclick: () => choose(value) }, text),
  );
  const group = html("div", { class: "chart-segmented", role: "group", "aria-label": label }, buttons);
  group.press = (value) => buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.value === value)));
  return group;
}

/** Return a button that is on or off. */
export function toggle(label, isOn, change) {
  const button = html("button", { type: "button", class: "chart-toggle", "aria-pressed": String(isOn) }, label);
  button.addEventListener("click", () => {
    const next = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(next));
    change(next);
  });
  return button;
}

/** Return a table; cells that are numbers stand to the right. */
export function tableOf({ columns, rows }, caption) {
  const cell = (name, value) => html(name, { class: typeof value === "number" || name === "td" ? null : "chart-text" }, String(value ?? "–"));
  return html(
    "table",
    {},
    html("caption", { class: "chart-hidden" }, caption),
    html("thead", {}, html("tr", {}, columns.map((column) => html("th", { scope: "col" }, column)))),
    html("tbody", {}, rows.map((row) => html("tr", {}, row.map((value) => cell("td", value))))),
  );
}
