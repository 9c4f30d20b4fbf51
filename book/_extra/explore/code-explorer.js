// A weight, its code, and the cells and joules of that code in every encoding. All of it comes from the tables that
// the library put into the page (companion.book.examples.code_tables); here it is only looked up and drawn.
(() => {
  const NAMES = {
    twos_complement: "two’s complement",
    offset_binary: "offset binary",
    sign_magnitude: "sign and magnitude",
    differential: "differential pair",
  };
  const root = document.getElementById("code-explorer");
  const tables = JSON.parse(document.getElementById("code-explorer-tables").textContent);
  const last = tables.weights.length - 1;
  const ranges = Object.values(tables.codes).flatMap((code) => Object.values(code).map((entry) => entry.energy_pj));
  const highest = Math.max(...ranges);

  root.innerHTML = `
    <form class="knobs" aria-label="The weight">
      <label class="wide">Weight, as a share of the layer’s largest: <output></output>
        <input type="range" min="0" max="${last}" step="1"></label>
      <span class="wide steps">
        <button type="button" data-step="-1">one code down</button>
        <button type="button" data-step="1">one code up</button>
        <button type="button" data-step="sign">change the sign</button>
      </span>
    </form>
    <p class="story" role="status"></p>
    <table class="encodings"><caption>The same code, written in every encoding</caption>
      <thead><tr><th scope="col">Encoding</th><th scope="col">Cells</th><th scope="col">Ones</th>
        <th scope="col">Energy (pJ)</th></tr></thead>
      <tbody></tbody></table>`;
  const find = (selector) => root.querySelector(selector);
  const slider = find("input");
  slider.value = Math.round(last * 0.3); // a weight of -0.4

  const signed = (number, digits) => `${number < 0 ? "−" : ""}${Math.abs(number).toFixed(digits)}`;
  const codeAt = (index) => tables.weights[index][1];

  function draw() {
    const [weight, code] = tables.weights[slider.value];
    const encodings = Object.entries(tables.codes[code]);
    find("output").textContent = signed(weight, 3);
    slider.setAttribute("aria-valuetext", `weight ${weight}, code ${code}`);
    const prices = encodings.map(([, entry]) => entry.energy_pj);
    const cheapest = encodings[prices.indexOf(Math.min(...prices))][0];
    find(".story").innerHTML =
      `A weight of ${signed(weight, 3)} takes the code <b data-value="code">${signed(code, 0)}</b>, which stands for
       ${signed(code / tables.limit, 4)}. Reading it once costs least in ${NAMES[cheapest]}, and
       ${(Math.max(...prices) / Math.min(...prices)).toFixed(1)} times as much where it costs most.`;
    find("tbody").innerHTML = encodings
      .map(([name, { cells, ones, energy_pj }]) => {
        const boxes = cells.map((bits) => `<code class="level-${parseInt(bits, 2)}">${bits}</code>`).join(" ");
        const width = (100 * energy_pj) / highest;
        return `<tr data-encoding="${name}"><th scope="row">${NAMES[name]}</th><td class="cells">${boxes}</td>
          <td>${ones}</td><td><span class="price">${energy_pj.toFixed(3)}</span>
          <span class="bar" style="width: ${width.toFixed(1)}%"></span></td></tr>`;
      })
      .join("");
  }

  // To the next weight with another code, or to the weight of the other sign.
  function step(kind) {
    let index = Number(slider.value);
    if (kind === "sign") index = last - index;
    else {
      const before = codeAt(index);
      while (tables.weights[index + Number(kind)] && codeAt(index) === before) index += Number(kind);
    }
    slider.value = index;
    draw();
  }

  find("form").addEventListener("submit", (event) => event.preventDefault());
  slider.addEventListener("input", draw);
  root.querySelectorAll("button").forEach((b) => b.addEventListener("click", () => step(b.dataset.step)));
  draw();
})();
