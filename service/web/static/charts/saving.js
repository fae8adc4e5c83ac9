// Takes a chart home: as CSV, SVG or PNG, in the colours it has on the screen.

/** Let the browser save `content` under a name. */
export function save(name, type, content) {
  const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The download has begun; a moment later the address is free to go.
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/** Return a table as CSV (RFC 4180). */
export function csv({ columns, rows }) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

const KEPT = [
  ...["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linejoin", "stroke-linecap"],
  ...["opacity", "font-family", "font-size", "font-weight", "text-anchor", "dominant-baseline", "visibility", "paint-order"],
];

/** Return a drawing as a document of its own: the style it has here becomes attributes, and the page's ground lies under it. */
export function standalone(drawing) {
  const copy = drawing.cloneNode(true);
  const originals = [drawing, ...drawing.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((element, index) => {
    const style = getComputedStyle(originals[index]);
    for (const name of KEPT) element.setAttribute(name, style.getPropertyValue(name));
    for (const name of ["class", "tabindex", "role", "style"]) element.removeAttribute(name);
  });
  const { width, height } = drawing.viewBox.baseVal;
  const ground = document.createElementNS(copy.namespaceURI, "rect");
  ground.setAttribute("width", width);
  ground.setAttribute("height", height);
  ground.setAttribute("fill", getComputedStyle(drawing).getPropertyValue("--surface") || "#fff");
  copy.prepend(ground);
  copy.setAttribute("xmlns", copy.namespaceURI);
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  return new XMLSerializer().serializeToString(copy);
}

/** Return a drawing as a picture of twice its size. */
export async function png(drawing, factor = 2) {
  const picture = new Image();
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(standalone(drawing))}`;
  await picture.decode();
  const canvas = document.createElement("canvas");
  canvas.width = drawing.viewBox.baseVal.width * factor;
  canvas.height = drawing.viewBox.baseVal.height * factor;
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}
