// Six networks, accuracy against gain, on the machine that the switches set. Every number comes from the tables that the
// library put into the page (companion.book.first_figure); here they are looked up, placed and moved.
(() => {
  const root = document.getElementById("gains-explorer");
  const tables = JSON.parse(document.getElementById("gains-explorer-tables").textContent);
  const LEGENDS = {
    removed: "Removed",
    machine: "Machine",
    index: "Index",
    converter: "Converters",
    inputs: "Inputs",
    table: "Cells",
  };
  const VIEWS = { slides: "As the slides count", everything: "Everything charged" };
  const IN = {
    best: "On the machine where each network gains most",
    crossbar: "In a crossbar",
    packed: "In a packed memory",
    grouped: "In groups of columns",
  };
  const GAINS = [0.1, 50];
  const TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50];
  const ACCURACIES = { 50: [86, 92.5], 90: [76, 92.5] }; // percent at the ends of the axis, by the share removed
  const CLOSE = 5; // points of accuracy: what the sentence compares
  const LINE = 15; // pixels
  const MOVE_MS = 500;
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  const radios = (name) =>
    Object.entries(tables.switches[name])
      .map(
        ([value, words]) =>
          `<label><input type="radio" name="gains-${name}" value="${value}"><span>${words}</span></label>`,
      )
      .join("");
  root.innerHTML = `
    <p class="views-of" role="group" aria-label="What is charged">${Object.entries(VIEWS)
      .map(([view, words]) => `<button type="button" data-view="${view}">${words}</button>`)
      .join(" ")}</p>
    <svg class="gains-plot" role="group"></svg>
    <p class="story" role="status"></p>
    <form class="switches" aria-label="Switches of the figure">${Object.keys(tables.switches)
      .map(
        (name) =>
          `<fieldset><legend>${LEGENDS[name]}</legend><span class="pills">${radios(name)}</span></fieldset>`,
      )
      .join("")}</form>
    <ul class="notes"></ul>
    <p class="save"><button type="button" class="save-figure" name="save">Save as SVG</button></p>
    <details class="numbers"><summary>The six points as a table</summary>
      <table><thead><tr><th scope="col">Network</th><th scope="col">Accuracy (%)</th><th scope="col">Gain</th>
        <th scope="col">Machine</th>
        <th scope="col">µJ an image</th><th scope="col">Seeds</th></tr></thead><tbody></tbody></table></details>`;
  const find = (selector) => root.querySelector(selector);
  const svg = find("svg");
  const form = find("form");

  const names = Object.keys(tables.switches);
  const state = () => names.map((name) => form.elements[`gains-${name}`].value);
  const set = (values) => names.forEach((name, i) => (form.elements[`gains-${name}`].value = values[i]));
  // What is charged as in a view, with the share removed and the cells of a state.
  const viewed = (view, values) => [values[0], ...tables.views[view].slice(1, -1), values[values.length - 1]];
  const times = (gain) => `${gain >= 10 ? gain.toFixed(0) : gain >= 0.1 ? gain.toFixed(1) : gain.toPrecision(1)}x`;

  // What stands where: of each point its gain, accuracy, and what the slides' way of counting would give it.
  function look(values) {
    const machines = tables.best[values.join(" ")] ?? tables.points.map(() => values[1]);
    const networks = machines.map((machine, i) => tables.networks[`${values[0]} ${machine}`][i]);
    const slides = viewed("slides", values);
    const before = tables.networks[`${slides[0]} ${slides[1]}`];
    const [gain, energy, counted] = [
      tables.gain[values.join(" ")],
      tables.energy_uj[values.join(" ")],
      tables.gain[slides.join(" ")],
    ];
    return tables.points.map((point, i) => ({
      ...point,
      ...networks[i],
      machine: machines[i],
      gain: gain[i],
      energy: energy[i],
      counted: counted[i],
      countedAccuracy: before[i].accuracy,
    }));
  }

  // ---- the drawing ----

  const element = (name, attributes = {}, words = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = words;
    return made;
  };

  let shown = null; // where everything is now, a number each
  let moving = 0;

  function panel() {
    const width = Math.max(260, root.querySelector(".story").clientWidth);
    const height = width < 480 ? 340 : 360;
    return { width, height, font: width < 480 ? 12 : 13, left: 38, right: width - 16, top: 26, low: height - 42 };
  }

  function draw(animated) {
    const values = state();
    const points = look(values);
    const box = panel();
    const target = place(points, ACCURACIES[values[0]], box);
    cancelAnimationFrame(moving);
    if (!animated || !shown || still.matches || shown.width !== box.width) {
      paint(points, (shown = target), box);
      return;
    }
    const from = shown;
    const began = performance.now();
    const step = (now) => {
      const share = Math.min(1, (now - began) / MOVE_MS);
      const eased = share < 0.5 ? 2 * share ** 2 : 1 - 2 * (1 - share) ** 2;
      shown = {};
      for (const key of Object.keys(target)) shown[key] = from[key] + (target[key] - from[key]) * eased;
      paint(points, shown, box);
      if (share < 1) moving = requestAnimationFrame(step);
    };
    moving = requestAnimationFrame(step);
  }

  // Pixels of every point, ring and label, and the ends of the axis of accuracies.
  function place(points, [low, high], box) {
    const across = (gain) => {
      const share = Math.log(gain / GAINS[0]) / Math.log(GAINS[1] / GAINS[0]);
      return box.left + Math.min(Math.max(share, 0), 1) * (box.right - box.left);
    };
    const up = (accuracy) => box.top + Math.min((high - accuracy) / (high - low), 1) * (box.low - box.top);
    const found = { low, high, width: box.width };
    const discs = points.map((p) => ({ x: across(p.gain), y: up(p.accuracy) }));
    const rings = points.map((p) => {
      const [x, y] = [across(p.counted), up(p.countedAccuracy)];
      return { left: x - 5, right: x + 5, top: y - 5, low: y + 5 };
    });
    // What words must not lie on: numbers of the axis, the line at 1x, and the way from each ring to its point.
    const ticks = percents(low, high).map((percent) => ({ left: 0, right: box.left, top: up(percent) - 7, low: up(percent) + 7 }));
    const lines = [[across(1), box.top, across(1), box.low]];
    rings.forEach((ring, i) => lines.push([ring.left + 5, ring.top + 5, discs[i].x, discs[i].y]));
    const labels = [];
    points.forEach((p, i) => {
      const { x, y } = discs[i];
      const width = measured(label(p, low), box);
      let best = null;
      // To the right, to the left, or in the middle above or below, as near as the others leave room.
      for (const [order, dy] of [0, -LINE, LINE, -1.6 * LINE, 1.6 * LINE, -2.6 * LINE, 2.6 * LINE].entries()) {
        for (const [rank, free] of [x + 11, x - 11 - width, x - width / 2].entries()) {
          const left = Math.min(Math.max(free, 0), box.width - width);
          const frame = { left, right: left + width, top: y + dy - 6, low: y + dy + 6 };
          let cost = order + rank / 2 + Math.abs(left - free) / 20;
          if (ticks.some((tick) => overlap(frame, tick))) cost += 8;
          if (frame.left < box.left || frame.right > box.right) cost += 2;
          if (frame.top < box.top || frame.low > box.low) cost += 30;
          for (const other of labels) if (overlap(frame, other)) cost += 30;
          for (const disc of discs) {
            const around = { left: disc.x - 8, right: disc.x + 8, top: disc.y - 6, low: disc.y + 6 };
            if (overlap(frame, around)) cost += 12;
          }
          for (const ring of rings) if (overlap(frame, ring)) cost += 3;
          for (const line of lines) if (crossed(frame, line)) cost += 4;
          if (!best || cost < best.cost) best = { cost, frame };
        }
      }
      labels.push(best.frame);
      Object.assign(found, {
        [`x${i}`]: x,
        [`y${i}`]: y,
        [`lx${i}`]: best.frame.left,
        [`ly${i}`]: (best.frame.top + best.frame.low) / 2,
        [`lw${i}`]: width,
        [`rx${i}`]: across(p.counted),
        [`ry${i}`]: up(p.countedAccuracy),
      });
    });
    return found;
  }

  const overlap = (a, b) => a.left < b.right && b.left < a.right && a.top < b.low && b.top < a.low;

  // Where the axis of accuracies has its numbers.
  function percents(low, high) {
    const every = high - low > 10 ? 4 : 2;
    const first = Math.ceil(low / every) * every;
    return Array.from({ length: Math.floor((high - first) / every) + 1 }, (_, i) => first + every * i);
  }

  // Whether a line enters a frame: one of its spots, 4 pixels apart at most, lies inside.
  function crossed(frame, [x1, y1, x2, y2]) {
    const steps = Math.ceil(Math.hypot(x2 - x1, y2 - y1) / 4) + 1;
    for (let i = 0; i <= steps; i++) {
      const [x, y] = [x1 + ((x2 - x1) * i) / steps, y1 + ((y2 - y1) * i) / steps];
      if (x > frame.left && x < frame.right && y > frame.top && y < frame.low) return true;
    }
    return false;
  }

  function label(p, low) {
    const end = p.accuracy < low ? `, ${p.accuracy.toFixed(0)} %` : "";
    return `${p.name} ${times(p.gain)}${end}`;
  }

  const pen = document.createElement("canvas").getContext("2d");
  function measured(words, box) {
    pen.font = `${box.font}px ${getComputedStyle(root).fontFamily}`;
    return pen.measureText(words).width + 2;
  }

  function paint(points, at, box) {
    const { left, right, top, low, width, height } = box;
    const across = (gain) => left + (Math.log(gain / GAINS[0]) / Math.log(GAINS[1] / GAINS[0])) * (right - left);
    const up = (accuracy) => top + ((at.high - accuracy) / (at.high - at.low)) * (low - top);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.style.height = `${height}px`;
    svg.style.fontSize = `${box.font}px`;
    const parts = [];
    const claim = tables.claim.map(across);
    parts.push(
      element("rect", { class: "claim", x: claim[0], y: top, width: claim[1] - claim[0], height: low - top }),
      element(
        "text",
        { class: "quiet", x: (claim[0] + claim[1]) / 2, y: top - 8, "text-anchor": "middle" },
        `the talk’s claim, ${tables.claim.join(" to ")}x`,
      ),
    );
    for (const gain of TICKS) {
      parts.push(element("line", { class: gain === 1 ? "one" : "grid", x1: across(gain), x2: across(gain), y1: top, y2: low }));
      if (width >= 480 || ![0.2, 20].includes(gain))
        parts.push(element("text", { x: across(gain), y: low + 17, "text-anchor": "middle" }, `${gain}x`));
    }
    for (const percent of percents(at.low, at.high)) {
      const y = up(percent);
      if (y > low + 0.5) continue;
      parts.push(element("line", { class: "grid", x1: left, x2: right, y1: y, y2: y }));
      parts.push(element("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, percent));
    }
    parts.push(element("text", { x: 2, y: top - 8 }, "accuracy (%)"));
    parts.push(
      element(
        "text",
        { x: (left + right) / 2, y: height - 6, "text-anchor": "middle" },
        "times less energy than 8 bits in a crossbar",
      ),
    );
    points.forEach((p, i) => {
      const [x, y, rx, ry] = [at[`x${i}`], at[`y${i}`], at[`rx${i}`], at[`ry${i}`]];
      if (Math.hypot(rx - x, ry - y) > 14) {
        parts.push(element("line", { class: "trail", "stroke-dasharray": "2 3", x1: rx, y1: ry, x2: x, y2: y }));
        parts.push(element("circle", { class: `ring ${p.key}`, cx: rx, cy: ry, r: 4 }));
      }
    });
    points.forEach((p, i) => {
      const [lx, ly, lw, x, y] = [at[`lx${i}`], at[`ly${i}`], at[`lw${i}`], at[`x${i}`], at[`y${i}`]];
      // The line at 1x has a gap where a name lies on it.
      const one = across(1);
      if (lx < one && one < lx + lw) parts.push(element("rect", { class: "gap", x: one - 2, y: ly - 7, width: 4, height: 14 }));
      if (Math.abs(ly - y) > 10 && (x < lx || x > lx + lw || Math.abs(ly - y) > 20))
        parts.push(element("line", { class: "leader", x1: x, y1: y, x2: Math.min(Math.max(x, lx), lx + lw), y2: ly - 7 * Math.sign(ly - y) }));
    });
    points.forEach((p, i) => {
      const [x, y] = [at[`x${i}`], at[`y${i}`]];
      const group = element("g", {
        class: `point ${p.key}`,
        role: "img",
        "aria-label": `${p.name}: ${p.accuracy.toFixed(1)} %, ${times(p.gain)}`,
        "data-gain": p.gain,
      });
      if (p.accuracy < at.low) group.append(element("path", { d: `M${x - 7},${y - 5}h14l-7,11z` }));
      else if (p.gain < GAINS[0]) group.append(element("path", { d: `M${x + 5},${y - 7}v14l-11,-7z` }));
      else group.append(element("circle", { cx: x, cy: y, r: 7 }));
      // Words have an edge in the color of the page, so that lines behind them do not cross them out.
      const halo = { "paint-order": "stroke", "stroke-width": 3, "stroke-linejoin": "round" };
      group.append(element("text", { ...halo, x: at[`lx${i}`] + 1, y: at[`ly${i}`] + 4 }, label(p, at.low)));
      parts.push(group);
    });
    svg.replaceChildren(...parts);
    svg.setAttribute("aria-label", "Accuracy against energy gained, a point a network");
  }

  // ---- the words ----

  function tell() {
    const values = state();
    const points = look(values);
    const [removed, machine, index, converter, inputs, table] = values;
    const dense = points[0];
    const close = points.slice(1).filter((p) => p.accuracy >= dense.accuracy - CLOSE);
    const best = close.reduce((a, b) => (b.gain > a.gain ? b : a));
    const twofold = points.find((p) => p.key === "twofold");
    const used = new Set(points.map((p) => p.machine));
    const cells = table === "slides" ? "the slides’ cells" : `cells of ${tables.switches.table[table]}`;
    const paid = [
      cells,
      index !== "free" && machine !== "crossbar" ? `a ${index} index` : "",
      { none: "", lossless: "lossless converters", constant: "the slides’ converters" }[converter],
      inputs === "read" ? "inputs" : "",
    ].filter(Boolean);
    const charged = paid.length > 1 ? `we charge ${new Intl.ListFormat("en").format(paid)}` : `we charge ${cells} alone`;
    const of = (p) => `<b>${times(p.gain)}</b> at <b>${p.accuracy.toFixed(1)} %</b>`;
    const leads =
      `Of those shown that lose at most ${CLOSE} points of accuracy, ${best.name} gains most: ${of(best)}.` +
      (best === twofold ? "" : ` Twofold gains ${of(twofold)}.`);
    find(".story").innerHTML =
      `${IN[machine]}, with ${removed} % removed, ${charged}. ${leads}`;

    const notes = [];
    if (used.has("crossbar")) notes.push("A crossbar stores removed weights as zeros: it needs no index, and skips nothing.");
    if (used.has("grouped")) {
      notes.push(
        "A layer that keeps all of its weights is one group and costs what it costs in the crossbar. Where columns share no rows, each is a group of its own.",
      );
      if (twofold.shared) notes.push("Twofold is here another network: it was trained with rows that all columns share.");
      else if (machine === "grouped")
        notes.push(`No network with shared rows has finished at ${removed} % removed, so twofold has a group a column here.`);
    }
    if (index === "generated" && machine !== "crossbar")
      notes.push("No register makes a mask that was chosen by magnitude: its index is stored instead.");
    for (const p of points) if (p.note) notes.push(p.note);
    const single = points.filter((p) => p.seeds === 1).map((p) => p.name);
    if (single.length) notes.push(`Of one seed only: ${single.join(", ")}.`);
    notes.push(
      "Rings: where cells alone, the slides’ way of counting as we read it, put the same point; a ring at another height is another network, trained for packed cells. A triangle stands at the edge of the picture for a point beyond it.",
    );
    find(".notes").replaceChildren(...notes.map((words) => Object.assign(document.createElement("li"), { textContent: words })));
    find("tbody").innerHTML = points
      .map(
        (p) => `<tr><th scope="row">${p.name}</th><td>${p.accuracy.toFixed(1)}</td><td>${times(p.gain)}</td>
          <td>${p.machine}</td><td>${Number(p.energy.toPrecision(3))}</td><td>${p.seeds}</td></tr>`,
      )
      .join("");
    for (const button of root.querySelectorAll("[data-view]")) {
      const own = viewed(button.dataset.view, values);
      button.setAttribute("aria-pressed", String(own.join() === values.join()));
    }
  }

  function show(animated) {
    tell();
    draw(animated);
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => show(true));
  for (const button of root.querySelectorAll("[data-view]"))
    button.addEventListener("click", () => {
      set(viewed(button.dataset.view, state()));
      show(true);
    });
  find("[name=save]").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(asFile(svg)); // of twofold.js, which every page has
    link.download = "twofold-gains.svg";
    link.click();
    URL.revokeObjectURL(link.href);
  });
  set(tables.start);
  show(false);
  new ResizeObserver(() => panel().width !== shown.width && draw(false)).observe(root);
  document.fonts?.ready.then(() => draw(false));
})();
