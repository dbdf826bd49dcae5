// The queue and the form for new runs. Both work without this file.
(() => {
  "use strict";

  // [data-live]: what updates itself waits while the pointer or the keyboard is on one of its controls.
  const hovers = matchMedia("(hover: hover)");

  function inUse(live) {
    return live.querySelector(hovers.matches ? ":is(a, button):is(:hover, :focus-visible)" : ".armed");
  }

  for (const kind of ["htmx:beforeRequest", "htmx:beforeSwap"]) {
    document.addEventListener(kind, (event) => {
      if (event.target.matches("[data-live]") && inUse(event.target)) event.preventDefault();
    });
  }

  // [data-product]: the button says how many runs it queues.
  function count(form) {
    const ticked = (name) => form.querySelectorAll(`input[name=${name}]:checked`).length;
    const runs = ticked("model") * ticked("dataset");
    const words = runs === 1 ? "1 run" : `${runs.toLocaleString("en")} runs`;
    form.querySelector("[data-product-count]").textContent = `Queue ${runs ? words : "runs"}`;
  }

  document.addEventListener("change", (event) => {
    const form = event.target.closest("[data-product]");
    if (form) count(form);
  });
  document.querySelectorAll("[data-product]").forEach(count);
})();
