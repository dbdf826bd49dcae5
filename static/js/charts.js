// Plotly draws each <script data-chart>; a colour in it names a CSS variable, so that either theme has its own.
(() => {
  "use strict";

  function draw() {
    for (const source of document.querySelectorAll("[data-chart]")) {
      const { data, layout, config } = JSON.parse(source.textContent, (key, value) => {
        if (!/color$/.test(key)) return value;
        source.style.color = `var(${value})`;
        return getComputedStyle(source).color;
      });
      Plotly.react(source.nextElementSibling, data, layout, config);
    }
  }

  draw();
  document.documentElement.addEventListener("themechange", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
