// Swagger UI over our own description; nothing is loaded from elsewhere, and no validator is asked.
const root = document.documentElement;
const darkSystem = matchMedia("(prefers-color-scheme: dark)");

// Swagger UI knows the dark by a class of its own.
function takeTheme() {
  root.classList.toggle("dark-mode", root.dataset.theme ? root.dataset.theme === "dark" : darkSystem.matches);
}

takeTheme();
darkSystem.addEventListener("change", takeTheme);
new MutationObserver(takeTheme).observe(root, { attributeFilter: ["data-theme"] });

window.addEventListener("DOMContentLoaded", () => {
  window.SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    validatorUrl: null,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
  });
});
