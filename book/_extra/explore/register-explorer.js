// A shift register and its mask. The cycles of states and the positions come from the tables that the library put into
// the page (companion.book.examples.register_tables); here they are only looked up, counted and drawn.
(() => {
  const CLOCKS_SHOWN = 12;
  const root = document.getElementById("register-explorer");
  const tables = JSON.parse(document.getElementById("register-explorer-tables").textContent);

  root.innerHTML = `
    <form class="knobs" aria-label="Settings of the register">
      <label>Degree <select name="degree"></select></label>
      <label>Seed <input name="seed" type="number" min="1" step="1" value="1" aria-describedby="register-story"></label>
      <label>Positions <i>M</i> <select name="size"></select></label>
      <label>Rule <select name="rule"></select></label>
      <label class="wide">Density <output name="percent"></output>
        <input name="density" type="range" min="1" max="100" value="50"></label>
      <fieldset class="wide"><legend>Taps, besides the powers that are always there</legend>
        <span class="taps"></span></fieldset>
    </form>
    <p class="story" id="register-story" role="status"></p>
    <div class="views">
      <div>
        <svg role="img" class="grid"></svg>
        <ul class="legend">
          <li><span class="swatch kept"></span>kept</li>
          <li><span class="swatch reached"></span>reached later in the period</li>
          <li><span class="swatch never"></span>never reached</li>
        </ul>
      </div>
      <table><caption>The first clocks</caption>
        <thead><tr><th scope="col">Clock</th><th scope="col">State</th><th scope="col">Position</th>
          <th scope="col">Index</th></tr></thead>
        <tbody></tbody></table>
    </div>`;
  const form = root.querySelector("form");
  const { degree, seed, size, rule, density } = form.elements;
  const find = (selector) => root.querySelector(selector);

  for (const n of Object.keys(tables.degrees)) degree.add(new Option(n, n));
  for (const m of Object.keys(tables.sizes)) size.add(new Option(m, m));
  for (const name of Object.keys(Object.values(tables.sizes)[0].positions)) rule.add(new Option(name, name));
  degree.value = "9";
  size.value = "300";

  const power = (e) => (e === 0 ? "1" : e === 1 ? "x" : `x<sup>${e}</sup>`);

  function offerTaps() {
    const n = Number(degree.value);
    const boxes = [];
    for (let e = n - 1; e > 0; e--) {
      const on = (tables.degrees[n].primitive >> e) & 1;
      boxes.push(`<label><input type="checkbox" name="tap" value="${e}" ${on ? "checked" : ""}> ${power(e)}</label>`);
    }
    find(".taps").innerHTML = boxes.join(" ");
    seed.max = 2 ** n - 1;
    if (!(Number(seed.value) <= seed.max)) seed.value = 1;
  }

  // The exponents between degree and 0 that are switched on, highest first.
  const taps = () => [...find(".taps").querySelectorAll(":checked")].map((box) => Number(box.value));

  // All states of the cycle that holds `start`, from there on; a state is the window of n bits at its clock.
  function walk(n, mask, start) {
    for (const bits of tables.degrees[n].cycles[mask]) {
      const states = Array.from(bits, (_, t) => {
        let state = 0;
        for (let i = 0; i < n; i++) state += Number(bits[(t + i) % bits.length]) * 2 ** i;
        return state;
      });
      const at = states.indexOf(start);
      if (at >= 0) return [...states.slice(at), ...states.slice(0, at)];
    }
  }

  function draw() {
    const n = Number(degree.value);
    const m = Number(size.value);
    const { columns, positions } = tables.sizes[m];
    const start = Number(seed.value);
    const full = 2 ** n - 1;
    find("output").textContent = `${density.value} %`;
    const valid = Number.isInteger(start) && start >= 1 && start <= full;
    seed.setAttribute("aria-invalid", String(!valid));
    find(".views").hidden = !valid;
    if (!valid) {
      find(".story").textContent = `The seed must be a whole number from 1 to ${full}: state 0 would never move.`;
      return;
    }

    const exponents = [n, ...taps(), 0];
    const mask = exponents.reduce((sum, e) => sum + 2 ** e, 0);
    const states = walk(n, mask, start);
    const wanted = Math.max(1, Math.round((m * density.value) / 100));
    const place = states.map((state) => positions[rule.value][n][state]); // -1: the rule skips this state
    const firstClock = new Map(); // position -> clock at which it is handed on, in that order
    place.forEach((position, clock) => position < 0 || firstClock.has(position) || firstClock.set(position, clock));
    const handed = [...firstClock];
    const kept = Math.min(wanted, handed.length);
    const clocks = kept ? handed[kept - 1][1] + 1 : 0;
    const skips = rule.value === "rejection";

    tell({ n, m, exponents, full, start, wanted, kept, clocks, skips, period: states.length, reached: handed.length });
    const lastKept = clocks - 1;
    drawGrid(m, columns, (p) => (!firstClock.has(p) ? "never" : firstClock.get(p) <= lastKept ? "kept" : "reached"));
    find(".grid").setAttribute(
      "aria-label",
      `Grid of ${m} positions: ${kept} kept, ${handed.length - kept} reached later, ${m - handed.length} never reached`,
    );
    find("tbody").innerHTML = Array.from({ length: Math.min(CLOCKS_SHOWN, states.length) }, (_, t) => {
      const what = place[t] < 0 ? "skipped" : firstClock.get(place[t]) === t ? "handed on" : "repeat";
      const bits = states[t].toString(2).padStart(n, "0");
      const shown = place[t] < 0 ? "none" : place[t];
      return `<tr><td>${t}</td><td><code>${bits}</code></td><td>${shown}</td><td>${what}</td></tr>`;
    }).join("");
  }

  function tell(f) {
    const polynomial = f.exponents.map(power).join(" + ");
    const primitive = f.period === f.full;
    const cycle = primitive
      ? `is primitive: every state but 0 is visited, a period of <b data-value="period">${f.period}</b> clocks.`
      : `is not primitive: from seed ${f.start} only <b data-value="period">${f.period}</b> of ${f.full} states come up.`;
    const short =
      f.kept < f.wanted ? ` It cannot keep ${f.wanted} positions; after <b data-value="kept">${f.kept}</b> it starts over.` : "";
    const cost = short
      ? ""
      : ` To keep <b data-value="kept">${f.kept}</b> of ${f.m} positions it is clocked
         <b data-value="clocks">${f.clocks}</b> times, <b data-value="lost">${f.clocks - f.kept}</b> of them for
         a ${f.skips ? "state beyond the last position" : "position seen before"}:
         ${(f.clocks / f.kept).toFixed(2)} clocks an index.`;
    find(".story").innerHTML =
      `${polynomial} ${cycle}${cost}${short} Over a whole period it reaches
       <b data-value="reached">${f.reached}</b> of ${f.m} positions.`;
  }

  function drawGrid(m, columns, classOf) {
    const cells = Array.from({ length: m }, (_, p) => {
      const x = p % columns;
      const y = Math.floor(p / columns);
      return `<rect class="${classOf(p)}" x="${x + 0.06}" y="${y + 0.06}" width=".88" height=".88"/>`;
    });
    find(".grid").setAttribute("viewBox", `0 0 ${columns} ${m / columns}`);
    find(".grid").innerHTML = cells.join("");
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  degree.addEventListener("change", offerTaps); // before the listener of the form, which draws
  form.addEventListener("input", (event) => event.target !== degree && draw());
  form.addEventListener("change", draw);
  offerTaps();
  draw();
})();
