// Every recipe, machine and device table: filters, a scatter plot (Chart.js), a table (Tabulator), and an address that
// restores the view. All numbers come from the columns that companion.book.results_explorer put into the page.
(() => {
  const root = document.getElementById("runs-explorer");
  const data = JSON.parse(document.getElementById("runs-explorer-tables").textContent);
  const fields = new Map(data.fields.map((field) => [field.name, field]));
  const numeric = data.fields.filter((field) => field.kind === "number");
  const FACETS = ["network", "method", "sparsity", "machine", "table", "experiment"];
  const SHAPES = { crossbar: "circle", packed: "triangle", grouped: "rect" };
  const SIGNS = { crossbar: "●", packed: "▲", grouped: "■" };
  const START = { x: "gain", y: "accuracy", xlog: true, ylog: false, sort: "gain", down: true, q: "", least: 75, row: null };
  // What a facet has chosen at first; the others have all. Accuracies of two architectures are no comparison.
  const ONLY = { table: ["slides"], network: ["resnet20"] };
  const FILE = "twofold-results.csv";

  // ---- the rows ----

  const count = data.rows.recipe.length;
  const rows = Array.from({ length: count }, (_, i) => {
    const recipe = data.rows.recipe[i];
    const row = { id: i, recipe };
    for (const { name, of } of data.fields) row[name] = of === "row" ? data.rows[name][i] : data.recipes[name][recipe];
    row.key = [row.run, row.machine, row.table].join("~");
    row.text = `${row.label} ${row.run} ${row.experiment}`.toLowerCase();
    return row;
  });
  const byKey = new Map(rows.map((row) => [row.key, row]));

  const values = Object.fromEntries(
    FACETS.map((name) => {
      const there = data.words[name] ?? Object.fromEntries(rows.map((row) => [row[name], row[name]]));
      const list = Object.keys(there);
      if (!data.words[name]) list.sort((a, b) => a - b);
      return [name, list];
    }),
  );
  const capital = (words) => words[0].toUpperCase() + words.slice(1);
  const title = ({ words, unit }) => (unit ? `${words} (${unit})` : words);

  // A number as a reader wants it: four digits at most, thousands apart.
  const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
  function shown(name, value) {
    const { kind, scale, unit } = fields.get(name);
    if (kind === "text") return data.words[name]?.[value] ?? value;
    const scaled = value * scale;
    if (name === "accuracy") return scaled.toFixed(2);
    if (scaled === 0) return "0";
    if (Math.abs(scaled) < 1e-3) return scaled.toExponential(2);
    const written = Math.abs(scaled) >= 1e6 ? compact.format(scaled) : plain.format(scaled);
    return unit === "x" ? `${written}x` : written;
  }
  const facetWords = (name, value) => (name === "sparsity" ? `${shown(name, value)} %` : shown(name, value));

  // ---- the state, and the address that holds it ----

  const all = () => Object.fromEntries(FACETS.map((name) => [name, new Set(ONLY[name] ?? values[name])]));
  let state;

  function address() {
    const parts = new URLSearchParams();
    for (const name of ["x", "y"]) if (state[name] !== START[name]) parts.set(name, state[name]);
    for (const name of ["xlog", "ylog"]) if (state[name] !== START[name]) parts.set(name, state[name] ? "1" : "0");
    if (state.sort !== START.sort || state.down !== START.down) parts.set("sort", (state.down ? "-" : "") + state.sort);
    for (const name of FACETS) {
      const own = values[name].filter((value) => state.chosen[name].has(value));
      const first = ONLY[name] ?? values[name];
      if (own.join() === first.join()) continue;
      parts.set(name, own.length === values[name].length ? "all" : own.length ? own.join(",") : "none");
    }
    if (state.q) parts.set("q", state.q);
    if (state.least !== START.least) parts.set("least", state.least);
    if (state.row) parts.set("row", state.row);
    return parts.size ? `#${parts}` : "";
  }

  // The state that an address asks for, and what it asks for that there is not.
  function read(hash) {
    const asked = { ...START, chosen: all() };
    const ignored = [];
    if (!hash.includes("=")) return { asked, ignored }; // nothing, or the anchor of a heading
    for (const [name, value] of new URLSearchParams(hash.replace(/^#/, ""))) {
      const refuse = () => ignored.push(`${name}=${value}`.slice(0, 80));
      if (name === "x" || name === "y") fields.get(value)?.kind === "number" ? (asked[name] = value) : refuse();
      else if (name === "xlog" || name === "ylog") ["0", "1"].includes(value) ? (asked[name] = value === "1") : refuse();
      else if (name === "sort") {
        const sort = value.replace(/^-/, "");
        if (fields.has(sort)) Object.assign(asked, { sort, down: value.startsWith("-") });
        else refuse();
      } else if (FACETS.includes(name)) {
        const wanted = value === "all" ? values[name] : value === "none" ? [] : value.split(",");
        const known = wanted.filter((one) => values[name].includes(one));
        if (known.length < wanted.length) {
          const odd = wanted.filter((one) => !values[name].includes(one));
          ignored.push(`${name}=${odd.join(",")}`.slice(0, 80));
        }
        if (known.length || value === "none") asked.chosen[name] = new Set(known);
      } else if (name === "q") asked.q = value;
      else if (name === "least") value !== "" && value >= 0 && value <= 100 ? (asked.least = Number(value)) : refuse();
      else if (name === "row") byKey.has(value) ? (asked.row = value) : refuse();
      else refuse();
    }
    return { asked, ignored };
  }

  // ---- the page ----

  const options = numeric.map((field) => `<option value="${field.name}">${title(field)}</option>`).join("");
  const axis = (name, words) => `
    <span class="axis"><label>${words} <select name="${name}">${options}</select></label>
      <label class="log"><input type="checkbox" name="${name}log"> logarithmic</label></span>`;
  const facet = (name) => `
    <details class="facet" data-facet="${name}">
      <summary><b>${capital(fields.get(name).words)}</b>: <span class="which"></span></summary>
      <fieldset><legend>${capital(fields.get(name).words)}</legend>
        <span class="all-none"><button type="button" data-set="all">all</button>
          <button type="button" data-set="none">none</button></span>
        ${values[name]
          .map(
            (value) =>
              `<label><input type="checkbox" name="${name}" value="${value}"> ${facetWords(name, value)}</label>`,
          )
          .join("")}</fieldset></details>`;
  root.innerHTML = `
    <p class="ignored" role="alert" hidden></p>
    <form class="filters" aria-label="What is shown">
      <div class="fields"><label>Search <input type="search" name="q" placeholder="a word of a label or run"></label>
        <label>Accuracy at least <input type="number" name="least" min="0" max="100" step="any"> %</label></div>
      <div class="facets">${FACETS.map(facet).join("")}</div>
      <p class="story" role="status"></p>
      <div class="axes">${axis("y", "Up")}${axis("x", "Across")}</div>
    </form>
    <div class="plot" tabindex="0" role="application" aria-roledescription="scatter plot"
      aria-label="Scatter plot. Arrow keys walk from point to point, Enter pins one." aria-describedby="runs-point">
      <canvas></canvas></div>
    <ul class="legend" aria-label="Colors and shapes"></ul>
    <div class="point" id="runs-point" role="status"></div>
    <p class="actions"><button type="button" name="copy">Copy a link to this view</button>
      <button type="button" name="download">Download what is shown as CSV</button>
      <button type="button" name="reset">Start again</button> <span class="done" role="status"></span></p>
    <p class="copied" hidden><label>Link <input type="text" readonly></label></p>
    <p class="hint">The table scrolls in both directions; a click on a head sorts.</p>
    <div class="grid-of-runs"></div>`;
  const find = (selector) => root.querySelector(selector);
  const form = find("form");

  // ---- filtering ----

  const searched = () => state.q.toLowerCase().split(/\s+/).filter(Boolean);
  function matches(row, words = searched()) {
    return (
      row.accuracy >= state.least &&
      FACETS.every((name) => state.chosen[name].has(String(row[name]))) && words.every((word) => row.text.includes(word))
    );
  }

  // ---- the plot ----

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colorOf = (method) => (method.startsWith("dense") ? css("--pst-color-text-base") : data.colors[method]);
  const quiet = matchMedia("(prefers-reduced-motion: reduce)");
  const at = (row, name) => row[name] * fields.get(name).scale;

  function tick(value) {
    const leading = value / 10 ** Math.floor(Math.log10(Math.abs(value)));
    if (this.type === "logarithmic" && ![1, 2, 5].includes(Math.round(leading * 1e6) / 1e6)) return "";
    if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(0);
    return compact.format(value);
  }

  Chart.defaults.font.family = getComputedStyle(root).fontFamily;
  const chart = new Chart(find("canvas"), {
    type: "scatter",
    data: { datasets: [] },
    options: {
      animation: quiet.matches ? false : { duration: 300 },
      maintainAspectRatio: false,
      interaction: { mode: "nearest", intersect: true },
      plugins: {
        legend: { display: false },
        tooltip: {
          displayColors: false,
          callbacks: {
            title: ([item]) => fold(item.raw.row.label),
            label: (item) => {
              const { row } = item.raw;
              return [
                `${shown("machine", row.machine)}, cells: ${shown("table", row.table)}`,
                ...[state.y, state.x].map((name) => said(row, name)),
              ];
            },
          },
        },
      },
      onHover: (_, items) => items.length && describe(items[0].element.$context.raw.row, false),
      onClick: (_, items) => items.length && pin(items[0].element.$context.raw.row),
      scales: { x: {}, y: {} },
    },
  });

  // A label in lines of some 40 letters: a canvas does not break them.
  function fold(words) {
    const lines = [""];
    for (const part of words.split(", ")) {
      const last = lines[lines.length - 1];
      if (last && (last + part).length > 38) lines.push(part);
      else lines[lines.length - 1] = last ? `${last}, ${part}` : part;
    }
    return lines;
  }

  function said(row, name) {
    const { words, unit } = fields.get(name);
    return `${words}: ${shown(name, row[name])}${unit && unit !== "x" ? ` ${unit}` : ""}`;
  }

  let drawn = []; // the rows that are points now, from left to right

  function plot(matching) {
    const log = { x: state.xlog, y: state.ylog };
    drawn = matching.filter((row) => ["x", "y"].every((a) => !log[a] || row[state[a]] > 0));
    drawn.sort((a, b) => a[state.x] - b[state.x] || a[state.y] - b[state.y]);
    const methods = values.method.filter((method) => drawn.some((row) => row.method === method));
    chart.data.datasets = methods.map((method) => {
      const own = drawn.filter((row) => row.method === method);
      return {
        data: own.map((row) => ({ x: at(row, state.x), y: at(row, state.y), row })),
        backgroundColor: `${hex(colorOf(method))}d0`,
        borderColor: hex(colorOf(method)),
        borderWidth: 1,
        pointStyle: own.map((row) => SHAPES[row.machine]),
        radius: drawn.length > 400 ? 4 : 5,
        hoverRadius: 8,
        hitRadius: matchMedia("(pointer: coarse)").matches ? 14 : 6,
        order: 1,
      };
    });
    const pinned = byKey.get(state.row);
    if (pinned && drawn.includes(pinned))
      chart.data.datasets.push({
        data: [{ x: at(pinned, state.x), y: at(pinned, state.y), row: pinned }],
        backgroundColor: "transparent",
        borderColor: css("--pst-color-text-base"),
        borderWidth: 2.5,
        pointStyle: "circle",
        radius: 11,
        hoverRadius: 11,
        order: 0,
      });
    for (const name of ["x", "y"]) {
      const field = fields.get(state[name]);
      chart.options.scales[name] = {
        type: log[name] ? "logarithmic" : "linear",
        title: { display: true, text: capital(title(field)), color: css("--pst-color-text-base"), font: { size: 13 } },
        ticks: { color: css("--pst-color-text-base"), callback: tick, maxRotation: 0, font: { size: 12 } },
        grid: { color: css("--pst-color-border") },
        border: { color: css("--pst-color-text-muted") },
      };
    }
    Object.assign(chart.options.plugins.tooltip, {
      backgroundColor: css("--pst-color-text-base"),
      titleColor: css("--pst-color-background"),
      bodyColor: css("--pst-color-background"),
    });
    chart.setActiveElements([]);
    chart.update();
    const machines = values.machine.filter((machine) => drawn.some((row) => row.machine === machine));
    find(".legend").innerHTML =
      methods
        .map((m) => `<li><span class="swatch" style="background:${hex(colorOf(m))}"></span>${shown("method", m)}</li>`)
        .join("") +
      machines.map((m) => `<li><span class="shape">${SIGNS[m]}</span>${shown("machine", m)}</li>`).join("");
  }

  // What a color of the theme is in six digits, to which a share of opacity can be added.
  function hex(color) {
    const pen = document.createElement("canvas").getContext("2d");
    pen.fillStyle = color;
    return pen.fillStyle;
  }

  // ---- one point ----

  function folders(row) {
    return data.folders[row.recipe]
      .map((folder) =>
        data.repository
          ? `<a href="${data.repository}${folder}">${folder}</a>`
          : `<code>${folder}</code>`,
      )
      .join(", ");
  }

  function describe(row, pinned) {
    const box = find(".point");
    if (!row) {
      box.innerHTML = "<p>Point at a dot, tap it, or walk through the dots with the arrow keys, to see which run it is.</p>";
      return;
    }
    const parts = ["accuracy", "gain", "edp_gain", "total_j", "arrays", "cycles"];
    for (const name of [state.x, state.y]) if (!parts.includes(name)) parts.push(name);
    const question = data.questions[row.experiment];
    box.innerHTML = `
      <p><b>${row.label}</b>, ${shown("machine", row.machine)}, cells: ${shown("table", row.table)}${pinned ? " (pinned)" : ""}</p>
      <p>${parts.map((name) => `<span class="value">${said(row, name)}</span>`).join("; ")}.</p>
      <p>Experiment <i>${row.experiment}</i>${question ? `: ${question}` : ""}
        ${data.folders[row.recipe].length > 1 ? "Folders of the runs" : "Folder of the run"}: ${folders(row)}</p>`;
  }

  function pin(row) {
    state.row = row && state.row !== row.key ? row.key : null;
    refresh();
  }

  const plotBox = find(".plot");
  let walked = -1;
  plotBox.addEventListener("mouseleave", () => describe(byKey.get(state.row), true));
  plotBox.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (step && drawn.length) {
      const last = drawn.length - 1;
      walked = walked < 0 ? (step > 0 ? 0 : last) : Math.min(Math.max(walked + step, 0), last);
    } else if (event.key === "Home") walked = 0;
    else if (event.key === "End") walked = drawn.length - 1;
    else if (event.key === "Enter" && drawn[walked]) {
      event.preventDefault();
      const row = drawn[walked];
      pin(row);
      walked = drawn.indexOf(row);
      return;
    } else if (event.key === "Escape") {
      walked = -1;
      state.row = null;
      refresh();
      return;
    } else return;
    event.preventDefault();
    if (drawn[walked]) light(drawn[walked]);
  });

  function light(row) {
    for (const [datasetIndex, set] of chart.data.datasets.entries()) {
      const index = set.data.findIndex((point) => point.row === row);
      if (index < 0) continue;
      const { x, y } = chart.getDatasetMeta(datasetIndex).data[index];
      chart.setActiveElements([{ datasetIndex, index }]);
      chart.tooltip.setActiveElements([{ datasetIndex, index }], { x, y });
      chart.update("none");
      break;
    }
    describe(row, row.key === state.row);
  }

  // ---- the table ----

  const columns = data.fields.map(({ name, words, unit, kind }) => ({
    field: name,
    title: capital(title({ words, unit })),
    hozAlign: kind === "number" ? "right" : "left",
    headerHozAlign: kind === "number" ? "right" : "left",
    sorter: kind === "number" ? "number" : "string",
    headerSortStartingDir: kind === "number" ? "desc" : "asc",
    minWidth: 70,
    width: name === "label" ? (root.clientWidth < 480 ? 165 : Math.max(250, 0.4 * root.clientWidth)) : kind === "number" ? (title({ words, unit }).length > 22 ? 158 : 112) : undefined,
    formatter: (cell) => {
      const row = cell.getData();
      if (name !== "label") return shown(name, row[name]);
      const button = document.createElement("button");
      Object.assign(button, { type: "button", className: "pick", textContent: row.label, title: row.label });
      button.setAttribute("aria-pressed", String(row.key === state.row));
      button.addEventListener("click", () => pin(row));
      return button;
    },
  }));
  state = read(location.hash).asked;
  const table = new Tabulator(find(".grid-of-runs"), {
    data: rows,
    index: "id",
    columns,
    height: "30rem",
    layout: "fitDataFill",
    rowHeight: 58, // three lines of a long name
    headerSortTristate: false,
    columnDefaults: { resizable: false },
    initialFilter: (row) => matches(row),
    initialSort: [{ column: state.sort, dir: state.down ? "desc" : "asc" }],
    placeholder: "No row has all of this. Choose more above.",
    rowFormatter: (row) => row.getElement().classList.toggle("pinned", row.getData().key === state.row),
  });
  let ready = false;
  table.on("tableBuilt", () => {
    ready = true;
    // For keyboards and readers of the screen: heads that sort, and rows that are the grid's own although what
    // scrolls them takes the focus.
    const [grid, holder] = [find(".tabulator"), find(".tabulator-tableholder")];
    grid.removeAttribute("aria-owns");
    grid.setAttribute("aria-label", "Rows that are shown");
    holder.setAttribute("role", "rowgroup");
    find(".tabulator-table").setAttribute("role", "presentation");
    for (const head of root.querySelectorAll(".tabulator-col")) {
      head.tabIndex = 0;
      head.addEventListener("keydown", (event) => {
        if (event.key !== " " && event.key !== "Enter") return;
        event.preventDefault();
        sortBy(head.getAttribute("tabulator-field"));
      });
    }
    restore();
  });
  function sortBy(name) {
    const down = state.sort === name ? !state.down : fields.get(name).kind === "number";
    table.setSort(name, down ? "desc" : "asc");
  }
  table.on("dataSorted", (sorters) => {
    if (!ready || !sorters.length) return;
    const down = sorters[0].dir === "desc";
    if (state.sort === sorters[0].field && state.down === down) return;
    Object.assign(state, { sort: sorters[0].field, down });
    remember();
  });

  // ---- all of it ----

  function refresh() {
    const words = searched();
    const matching = rows.filter((row) => matches(row, words));
    for (const name of FACETS) {
      const own = values[name].filter((value) => state.chosen[name].has(value));
      const which =
        own.length === values[name].length
          ? "all"
          : own.length === 0
            ? "none"
            : own.length <= 2
              ? own.map((value) => facetWords(name, value)).join(", ")
              : `${own.length} of ${values[name].length}`;
      root.querySelector(`[data-facet="${name}"] .which`).textContent = which;
      for (const box of root.querySelectorAll(`input[name="${name}"]`)) box.checked = state.chosen[name].has(box.value);
    }
    if (form.elements.q.value !== state.q) form.elements.q.value = state.q;
    if (Number(form.elements.least.value || 0) !== state.least) form.elements.least.value = state.least;
    for (const name of ["x", "y"]) {
      form.elements[name].value = state[name];
      form.elements[`${name}log`].checked = state[`${name}log`];
    }
    plot(matching);
    walked = -1;
    const recipes = new Set(matching.map((row) => row.run)).size;
    const hidden = matching.length - drawn.length;
    find(".story").textContent =
      `${matching.length} of ${count} rows: ${recipes} ${recipes === 1 ? "recipe" : "recipes"} on the machines and cells chosen.` +
      (hidden ? ` ${hidden} of them ${hidden === 1 ? "has" : "have"} a 0, which a logarithmic axis cannot show.` : "");
    describe(byKey.get(state.row), true);
    if (ready) {
      table.setFilter((row) => matches(row, words));
      for (const row of table.getRows("visible")) row.reformat();
    }
    remember();
  }

  let touched = false; // before the first change, the address stays as the reader gave it
  function remember() {
    if (!touched) return;
    const next = address();
    if (next !== location.hash) history.replaceState(null, "", next || location.pathname + location.search);
  }

  function restore() {
    const { asked, ignored } = read(location.hash);
    state = asked;
    const box = find(".ignored");
    box.hidden = !ignored.length;
    box.textContent = ignored.length
      ? `The address asks for something that is not here, which is ignored: ${ignored.join("; ")}.`
      : "";
    if (ready) table.setSort(state.sort, state.down ? "desc" : "asc");
    refresh();
    if (ready) {
      const pinned = byKey.get(state.row);
      if (pinned && matches(pinned)) table.scrollToRow(pinned.id, "center", false).catch(() => {});
    }
  }

  function change(own) {
    touched = true;
    Object.assign(state, own);
    refresh();
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    const { name, value, checked } = event.target;
    if (FACETS.includes(name)) {
      state.chosen[name][checked ? "add" : "delete"](value);
      change({});
    } else if (name === "q") change({ q: value });
    else if (name === "least") {
      const valid = value >= 0 && value <= 100 && event.target.validity.valid;
      event.target.setAttribute("aria-invalid", String(!valid));
      if (valid) change({ least: Number(value) }); // an empty field is 0: no limit
    }
    else if (name === "xlog" || name === "ylog") change({ [name]: checked });
    else change({ [name]: value });
  });
  for (const button of root.querySelectorAll("[data-set]"))
    button.addEventListener("click", () => {
      const name = button.closest("[data-facet]").dataset.facet;
      state.chosen[name] = new Set(button.dataset.set === "all" ? values[name] : []);
      change({});
    });
  root.addEventListener("pointerdown", () => (touched = true));
  root.addEventListener("keydown", () => (touched = true), true);

  function done(words) {
    find(".done").textContent = words;
    setTimeout(() => (find(".done").textContent = ""), 4000);
  }
  find("[name=copy]").addEventListener("click", async () => {
    const link = location.href.split("#")[0] + address();
    const box = find(".copied");
    box.querySelector("input").value = link;
    try {
      await navigator.clipboard.writeText(link);
      box.hidden = true;
      done("The link is in the clipboard.");
    } catch {
      box.hidden = false; // a browser that gives no clipboard: the link to copy by hand
      box.querySelector("input").select();
      done("Your browser keeps its clipboard closed; here is the link.");
    }
  });
  find("[name=reset]").addEventListener("click", () => {
    find(".ignored").hidden = true;
    Object.assign(state, { sort: START.sort, down: START.down });
    table.setSort(state.sort, "desc");
    change({ ...START, chosen: all() });
  });
  find("[name=download]").addEventListener("click", () => {
    const quoted = (value) => (/[",\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : value);
    const names = [...fields.keys()];
    const lines = table.getData("active").map((row) => names.map((name) => quoted(row[name])).join(","));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([[names.join(","), ...lines, ""].join("\n")], { type: "text/csv" }));
    link.download = FILE;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    done(`${lines.length} rows are in ${FILE}.`);
  });

  addEventListener("hashchange", restore);
  new MutationObserver(refresh).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  restore();
})();
