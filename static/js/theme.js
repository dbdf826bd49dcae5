// Runs before the first paint: the chosen theme, if it differs from the system's, stands on <html>.
(() => {
  "use strict";
  const KEY = "touchstone-theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  function stored() {
    try {
      const theme = localStorage.getItem(KEY);
      return theme === "light" || theme === "dark" ? theme : null;
    } catch {
      return null; // Storage is forbidden: the system's theme holds.
    }
  }

  function store(theme) {
    try {
      if (theme) localStorage.setItem(KEY, theme);
      else localStorage.removeItem(KEY);
    } catch {
      // The choice then lasts for this page.
    }
  }

  function show(theme) {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    root.dispatchEvent(new CustomEvent("themechange"));
  }

  function toggle() {
    const ofSystem = system.matches ? "dark" : "light";
    const next = (root.dataset.theme || ofSystem) === "dark" ? "light" : "dark";
    const theme = next === ofSystem ? null : next;
    store(theme);
    show(theme);
  }

  show(stored());
  addEventListener("storage", (event) => {
    if (event.key === KEY) show(stored());
  });
  addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-theme-switch]")) {
      button.hidden = false;
      button.addEventListener("click", toggle);
    }
  });
})();
