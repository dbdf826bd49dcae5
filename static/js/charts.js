// Plotly draws each <script data-chart>. A colour in it names a CSS variable: themes and paper differ.
(() => {
  "use strict";

  function draw() {
    for (const el of document.querySelectorAll("[data-chart]")) {
      const { data, layout, config } = JSON.parse(el.textContent, (key, value) => {
        if (!/color$/.test(key)) return value;
        el.style.color = `var(${value})`;
        return getComputedStyle(el).color;
      });
      Plotly.react(el.nextElementSibling, data, layout, config);
    }
  }

  draw();
  document.documentElement.addEventListener("themechange", draw);
  for (const media of ["print", "(prefers-color-scheme: dark)"]) matchMedia(media).addEventListener("change", draw);
})();
