// Small comforts. Every page works without this file; listeners sit on the document, so swapped fragments have them too.
(() => {
  "use strict";
  const on = document.addEventListener.bind(document);

  // Panels close on Escape, which gives the focus back, and on a press outside.
  function closePanels(except) {
    for (const panel of document.querySelectorAll("details.panel[open]")) {
      if (!panel.contains(except)) panel.open = false;
    }
  }

  on("pointerdown", (event) => closePanels(event.target));
  on("focusin", (event) => closePanels(event.target));
  on("keydown", (event) => {
    if (event.key !== "Escape") return;
    const panel = document.querySelector("details.panel[open]");
    document.documentElement.classList.add("no-tips");
    if (!panel) return;
    panel.open = false;
    panel.querySelector("summary").focus();
  });
  // Escape hides the tooltips until the pointer or the focus moves on.
  for (const kind of ["pointerover", "focusin"]) {
    on(kind, () => document.documentElement.classList.remove("no-tips"));
  }

  // "/" goes to the search box.
  on("keydown", (event) => {
    const search = document.querySelector("[data-search-key]");
    if (event.key !== "/" || !search || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select")) return;
    event.preventDefault();
    search.focus();
  });

  // In a data table the arrow keys go from link to link, Home and End to the ends of the row.
  const FOCUSABLE = "a[href], button, input, [tabindex='0']";

  function step(cell, key) {
    const row = cell.parentElement;
    const rows = [...cell.closest("table").rows];
    const cells = [...row.cells];
    const after = (all, one) => all.slice(all.indexOf(one) + 1);
    const column = (all) => after(all, row).map((other) => other.cells[cell.cellIndex]);
    const ways = {
      ArrowUp: column(rows.toReversed()),
      ArrowDown: column(rows),
      ArrowLeft: after(cells.toReversed(), cell),
      ArrowRight: after(cells, cell),
      Home: cells,
      End: cells.toReversed(),
    };
    return ways[key]?.map((other) => other?.querySelector(FOCUSABLE)).find(Boolean);
  }

  on("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const cell = event.target.closest?.("table.data :is(td, th)");
    if (!cell || event.target.matches("input:not([type=checkbox]), select, textarea")) return;
    const target = step(cell, event.key);
    if (!target) return;
    event.preventDefault();
    target.focus();
    target.scrollIntoView({ block: "nearest", inline: "nearest" });
  });

  // data-confirm: the first press asks in the button itself, the second one acts.
  const armed = new WeakMap();

  function disarm(button) {
    const before = armed.get(button);
    if (!before) return;
    clearTimeout(before.timer);
    button.textContent = before.label;
    button.classList.remove("armed");
    armed.delete(button);
  }

  on("click", (event) => {
    const button = event.target.closest("[data-confirm]");
    if (!button || armed.has(button)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    armed.set(button, { label: button.textContent, timer: setTimeout(disarm, 5000, button) });
    button.setAttribute("aria-live", "assertive");
    button.classList.add("armed");
    button.textContent = button.dataset.confirm;
  }, true);
  on("focusout", (event) => disarm(event.target));

  // [data-drop]: a file dropped or pasted anywhere on its form lands in its field.
  function take(zone, file) {
    const files = new DataTransfer();
    files.items.add(file);
    const input = zone.querySelector("input[type=file]");
    input.files = files.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  function pasted(text) {
    const start = text.trimStart();
    const ending = start.startsWith("{") ? "jsonl" : /^.*\t/.test(start) ? "tsv" : "csv";
    return new File([text], `pasted.${ending}`, { type: "text/plain" });
  }

  function size(bytes) {
    const at = Math.min(Math.floor(Math.log10(bytes || 1) / 3), 3);
    return `${+(bytes / 1000 ** at).toFixed(1)} ${["B", "kB", "MB", "GB"][at]}`;
  }

  const zoneOf = (target) => target.closest?.("form")?.querySelector("[data-drop]");
  let unsaved = false;

  on("dragover", (event) => {
    const zone = zoneOf(event.target);
    if (!zone || !event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    zone.classList.add("over");
  });
  for (const kind of ["dragleave", "drop"]) {
    on(kind, (event) => zoneOf(event.target)?.classList.remove("over"));
  }
  on("drop", (event) => {
    const zone = zoneOf(event.target);
    if (!zone || !event.dataTransfer.files.length) return;
    event.preventDefault();
    take(zone, event.dataTransfer.files[0]);
  });
  on("paste", (event) => {
    const zone = document.querySelector("[data-drop]");
    if (!zone || event.target.matches?.("input:not([type=file]), textarea")) return;
    const file = event.clipboardData.files[0];
    const text = event.clipboardData.getData("text/plain");
    if (file) take(zone, file);
    else if (text.includes("\n")) take(zone, pasted(text));
  });
  on("change", (event) => {
    const zone = event.target.closest("[data-drop]");
    const file = event.target.files?.[0];
    if (!zone || !file) return;
    zone.querySelector("[data-drop-note]").textContent = `${file.name}, ${size(file.size)}. Not uploaded yet.`;
    unsaved = true;
  });
  on("submit", () => (unsaved = false));
  addEventListener("beforeunload", (event) => unsaved && event.preventDefault());

  // [data-checklist]: one box that ticks them all.
  function addAll(list) {
    const boxes = () => [...list.querySelectorAll("li input[type=checkbox]")];
    if (list.querySelector(".check-all") || boxes().length < 3) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn quiet check-all";
    const refresh = () => (button.textContent = boxes().every((box) => box.checked) ? "None" : "All");
    button.addEventListener("click", () => {
      const tick = button.textContent === "All";
      for (const box of boxes()) box.checked = tick;
      list.dispatchEvent(new Event("change", { bubbles: true }));
    });
    list.addEventListener("change", refresh);
    list.querySelector("legend").after(button);
    refresh();
  }

  const enhance = () => document.querySelectorAll("[data-checklist]").forEach(addAll);
  enhance();
  on("htmx:afterSwap", enhance);
})();
