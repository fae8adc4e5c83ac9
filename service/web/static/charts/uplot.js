// Loads uPlot when the first chart needs it, from our own files.

let loading = null;

/** Return uPlot. */
export function uPlot() {
  loading ??= new Promise((resolve, reject) => {
    const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: address("uPlot.min.css") });
    const script = Object.assign(document.createElement("script"), { src: address("uPlot.iife.min.js") });
    script.addEventListener("load", () => resolve(globalThis.uPlot));
    script.addEventListener("error", () => reject(new Error("the drawing library did not load; reload the page")));
    document.head.append(style, script);
  });
  return loading;
}

function address(name) {
  return new URL(`../vendor/uplot/${name}`, import.meta.url).href;
}
