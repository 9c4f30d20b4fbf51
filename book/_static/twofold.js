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

// Row heads that are numbers need no room for words; cells that hold sentences need more of it, and long names break.
function measureTables() {
  for (const table of document.querySelectorAll(":is(div.cell_output, .sd-card) :is(table.dataframe, table[id^=T_])")) {
    const heads = [...table.querySelectorAll("tbody th")];
    const numbers = heads.every((head) => /^[\s\d.,%x+\u2212-]*$/.test(head.textContent));
    table.classList.toggle("numbered", heads.length > 0 && numbers);
    for (const cell of table.querySelectorAll("tbody td")) {
      if (cell.textContent.length > 80) cell.classList.add("sentence");
      if (/\S{20}/.test(cell.textContent)) cell.classList.add("long-name");
    }
  }
  for (const cell of document.querySelectorAll("table.table tbody td")) {
    if (cell.textContent.length > 30) cell.classList.add("phrase");
  }
}

window.addEventListener("load", measureTables);

// A line breaks neither between a number and its unit, nor between "chapter" and its number, nor behind a formula that
// a comma follows.
function keepTogether() {
  const article = document.querySelector(".bd-article");
  const texts = article ? document.createTreeWalker(article, NodeFilter.SHOW_TEXT) : null;
  while (texts?.nextNode()) {
    const text = texts.currentNode;
    if (text.parentElement.closest("pre, code, script, style, svg, mjx-container, .explorer")) continue;
    const formula = text.previousSibling?.matches?.("span.math");
    const kept = text.data
      .replace(formula ? /^(?=[.,;:)])/ : /(?!)/, "\u2060")
      .replace(/(?<=^|\d) (?=(%|[fpnµ]?J|[kMG]B)(?!\w))/g, "\u00a0")
      .replace(/(?<=[Cc]hapter|Fig\.) (?=\d)/g, "\u00a0");
    if (kept !== text.data) text.data = kept;
  }
}

window.addEventListener("load", keepTogether);

// Browsers say a mixed color as color(srgb 0.1 0.2 0.3), which programs for drawings do not read.
function inRgb(color) {
  return color.replace(/color\(srgb ([^)]*)\)/, (_, shares) => {
    const parts = shares.split(/[ /]+/).map(Number), [red, green, blue] = parts.map((share) => Math.round(255 * share));
    return `rgba(${red}, ${green}, ${blue}, ${parts[3] ?? 1})`;
  });
}

// A figure can be taken along: the drawing that is shown, in the colors that it has now, as a file of its own.
function asFile(drawing) {
  const own = drawing.cloneNode(true), style = getComputedStyle(drawing);
  const parts = [drawing, ...drawing.querySelectorAll("*")], copies = [own, ...own.querySelectorAll("*")];
  parts.forEach((part, i) => {
    const { fill, stroke } = getComputedStyle(part);
    copies[i].style.fill = inRgb(fill);
    copies[i].style.stroke = inRgb(stroke);
  });
  own.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  own.style.fontFamily = style.fontFamily;
  own.style.background = getComputedStyle(document.body).backgroundColor;
  return new Blob([new XMLSerializer().serializeToString(own)], { type: "image/svg+xml" });
}

function offerFigures() {
  for (const figure of document.querySelectorAll("figure")) {
    const drawings = [...figure.querySelectorAll(".plot > svg, svg.schematic")], words = figure.querySelector("figcaption p");
    if (!drawings.length || !words) continue;
    const save = document.createElement("button");
    save.className = "save-figure";
    save.textContent = "Save as SVG";
    save.addEventListener("click", () => {
      const shown = drawings.find((drawing) => drawing.getClientRects().length);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(asFile(shown));
      link.download = `${figure.id || "figure"}.svg`;
      link.click();
      URL.revokeObjectURL(link.href);
    });
    words.append(" ", save);
  }
}

window.addEventListener("load", offerFigures);
