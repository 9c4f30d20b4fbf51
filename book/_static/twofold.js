// What is larger than its box scrolls in it, and a keyboard scrolls only what it can focus: wide formulas, and the
// long tables of cells tagged "scroll-output".
function focusWhatScrolls() {
  for (const box of document.querySelectorAll('mjx-container[display="true"], .tag_scroll-output > .cell_output')) {
    const tall = box.matches(".cell_output") && box.scrollHeight > box.clientHeight;
    if (tall || box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

window.addEventListener("load", focusWhatScrolls);
window.addEventListener("load", () => window.MathJax?.startup?.promise.then(focusWhatScrolls));
window.addEventListener("resize", focusWhatScrolls);

// The arrow that folds an entry of the contents has no words of its own, so it takes those of its entry.
function nameFolds() {
  for (const fold of document.querySelectorAll(".has-children > details > summary")) {
    const entry = fold.closest(".has-children").querySelector("a");
    fold.setAttribute("aria-label", `Pages below ${entry.textContent.trim()}`);
  }
}

window.addEventListener("load", nameFolds);

// Row heads that are numbers need no room for words; cells that hold sentences need more of it.
function measureTables() {
  for (const table of document.querySelectorAll("div.cell_output table.dataframe")) {
    const heads = [...table.querySelectorAll("tbody th")];
    const numbers = heads.every((head) => /^[\s\d.,%x+\u2212-]*$/.test(head.textContent));
    table.classList.toggle("numbered", heads.length > 0 && numbers);
    for (const cell of table.querySelectorAll("tbody td")) {
      if (cell.textContent.length > 80) cell.classList.add("sentence");
    }
  }
}

window.addEventListener("load", measureTables);
