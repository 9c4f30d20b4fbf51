// A formula that is wider than its column scrolls in its own box, and a keyboard scrolls only what it can focus.
function focusWideFormulas() {
  for (const formula of document.querySelectorAll('mjx-container[display="true"]')) {
    if (formula.scrollWidth > formula.clientWidth) formula.tabIndex = 0;
    else formula.removeAttribute("tabindex");
  }
}

window.addEventListener("load", () => window.MathJax?.startup?.promise.then(focusWideFormulas));
window.addEventListener("resize", focusWideFormulas);
