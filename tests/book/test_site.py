"""The built site in a real browser, opened from the disk: headless Chromium, driven by Playwright."""

import io
import itertools
import json
import random
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from companion.book.examples import worked_example
from companion.paths import book_dir
from companion.study.machines import load_machines
from companion.study.results import load_results
from twofold import LFSR, Polynomial, lfsr_mask, load_cell_table
from twofold.masks.generator import reduce_states
from twofold.masks.gf2 import primitive_polynomial

pytestmark = pytest.mark.slow

CHROMIUM = Path("/usr/bin/chromium")
PAGES = sorted([p.stem for p in book_dir().glob("*.ipynb")] + [p.stem for p in book_dir().glob("*.md")])
MEGABYTE = 1_000_000
THEIRS = {("aria-required-children", ".citation-list")}
"""Grave findings of axe that are not ours: docutils makes a list of citations that holds no list items."""
PHONE, DESK = {"width": 360, "height": 800}, {"width": 1280, "height": 900}
SCHEMES = ("light", "dark")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}; on Debian: apt-get install chromium")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=str(CHROMIUM), args=quiet)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, pages):
    """Open a page by its name; what it asks for and complains of is noted in ``asked`` and ``told``."""
    tabs = []

    def opened(name: str, viewport: dict = DESK):
        tab = browser.new_page(viewport=viewport, color_scheme="light")
        tabs.append(tab)
        tab.asked, tab.told = [], []
        tab.on("request", lambda request: tab.asked.append(request.url))
        tab.on("requestfailed", lambda request: tab.told.append(f"failed: {request.url}"))
        tab.on("pageerror", lambda error: tab.told.append(f"uncaught: {error}"))
        loud = ("error", "warning")
        tab.on("console", lambda m: tab.told.append(f"{m.type}: {m.text}") if m.type in loud else None)
        tab.goto((pages[0].parent / f"{name}.html").as_uri())
        tab.wait_for_load_state("networkidle")
        tab.evaluate("window.MathJax?.startup?.promise")
        return tab

    yield opened
    for tab in tabs:
        tab.close()


def turn(tab, scheme: str) -> None:
    """As the reader's system turns to light or to dark, and the page with it."""
    tab.emulate_media(color_scheme=scheme)
    tab.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'", timeout=10_000)


# ---- every page ----


@pytest.mark.parametrize("name", [*PAGES, "search", "genindex"])
def test_page_is_quiet_light_local_and_fits_a_phone(visit, name):
    tab = visit(name, PHONE)
    assert tab.told == []
    assert [url for url in tab.asked if urlsplit(url).scheme not in ("file", "data")] == []
    files = {Path(unquote(urlsplit(url).path)) for url in tab.asked if url.startswith("file:")}
    assert sum(file.stat().st_size for file in files) <= 3 * MEGABYTE
    for scheme in SCHEMES:
        turn(tab, scheme)
        assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize("name", PAGES)
def test_axe_has_no_serious_finding(visit, name):
    """Rules that axe calls serious or critical, contrast of text in both schemes among them.

    Lesser ones stand: pandas' tables begin with an empty corner, and the theme's logo lies in no landmark.
    """
    axe = Path(pytest.importorskip("axe_playwright_python").__file__).with_name("axe.min.js").read_text()
    tab = visit(name)
    tab.add_style_tag(content="* { transition: none !important }")  # else axe meets colors half-way
    tab.evaluate(axe)
    # The pages of the library are long; the first module of each has all that the others have.
    part = [["nav"], ["header"], ["article section section"]]
    where = {"include": part} if name.startswith("api-") else None
    for scheme in SCHEMES:
        turn(tab, scheme)
        options = {"preload": False, "resultTypes": ["violations"]}  # preload: it would fetch style sheets
        if scheme == "dark":
            options["runOnly"] = ["color-contrast"]  # all else was seen in the light
        run = "([where, options]) => axe.run(where ?? document, options)"
        found = tab.evaluate(run, [where, options])["violations"]
        grave = [
            (rule["id"], node["target"], node["html"][:200])
            for rule in found
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"]
            if (rule["id"], *node["target"]) not in THEIRS
        ]
        assert grave == [], scheme


def luminance(rgb: np.ndarray) -> np.ndarray:
    """Relative luminance as WCAG 2 defines it, of sRGB values from 0 to 255."""
    share = rgb / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(picture: bytes) -> float:
    """Of the most frequent color to the darkest and the lightest half percent, the larger of the two."""
    light = luminance(np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), float)).ravel()
    values, counts = np.unique(light.round(4), return_counts=True)
    ground = values[counts.argmax()]
    dark, bright = np.quantile(light, [0.005, 0.995])
    return max((bright + 0.05) / (ground + 0.05), (ground + 0.05) / (dark + 0.05))


def test_contrast_knows_the_ends():
    def picture(ground: int, mark: int) -> bytes:
        pixels, file = np.full((100, 100, 3), ground, np.uint8), io.BytesIO()
        pixels[:10] = mark
        Image.fromarray(pixels).save(file, "png")
        return file.getvalue()

    assert contrast(picture(255, 0)) == pytest.approx(21)
    assert contrast(picture(0, 255)) == pytest.approx(21)
    assert contrast(picture(18, 51)) < 2  # dark marks on the dark page


@pytest.mark.parametrize("name", PAGES)
def test_figures_are_readable_in_both_schemes(visit, name):
    tab = visit(name)
    for scheme in SCHEMES:
        turn(tab, scheme)
        for figure in tab.locator("article :is(img, .plot > svg, svg.schematic):visible").all():
            words = figure.get_attribute("alt") or figure.get_attribute("aria-label")
            assert contrast(figure.screenshot()) >= 4.5, (scheme, words)


def test_search_finds_from_the_disk(visit):
    tab = visit("search")
    tab.goto(f"{tab.url}?q=LFSR")
    tab.wait_for_selector("#search-results li a", timeout=20_000)
    assert tab.told == []


# ---- the register explorer ----


def set_register(
    tab, degree: int, exponents: tuple[int, ...], seed: int, size: int, percent: int, rule: str
) -> None:
    tab.evaluate(
        """([degree, exponents, seed, size, percent, rule]) => {
            const form = document.querySelector("#register-explorer form");
            const set = (control, value) => {
                control.value = value;
                for (const kind of ["input", "change"])
                    control.dispatchEvent(new Event(kind, {bubbles: true}));
            };
            set(form.elements.degree, degree);
            set(form.elements.size, size);
            set(form.elements.rule, rule);
            for (const box of form.querySelectorAll("[name=tap]"))
                if (box.checked !== exponents.includes(Number(box.value))) box.click();
            set(form.elements.seed, seed);
            set(form.elements.density, percent);
        }""",
        [str(degree), list(exponents), str(seed), str(size), str(percent), rule],
    )


def shown_register(tab) -> dict:
    return tab.evaluate(
        """() => {
            const root = document.querySelector("#register-explorer");
            const at = (css, read) => Array.from(root.querySelectorAll(css), read);
            return {
                ...Object.fromEntries(at("[data-value]", (b) => [b.dataset.value, Number(b.textContent)])),
                grid: at(".grid rect", (r) => r.getAttribute("class")),
                states: at("tbody code", (c) => parseInt(c.textContent, 2)),
                places: at("tbody td:nth-child(3)", (c) => (c.textContent === "none" ? -1 : +c.textContent)),
                label: root.querySelector(".grid").getAttribute("aria-label"),
            };
        }"""
    )


def test_register_explorer_agrees_with_the_library(visit):
    tab, draw = visit("02-lfsr"), random.Random(1)
    for trial in range(40):
        degree, size = draw.randint(3, 9), draw.choice([64, 144, 300])
        polynomial = Polynomial(2**degree + 2 * draw.randrange(2 ** (degree - 1)) + 1)
        polynomial = primitive_polynomial(degree) if trial % 4 == 0 else polynomial
        seed, percent = draw.randrange(1, 2**degree), draw.randint(1, 100)
        rule = draw.choice(["rejection", "multiply-shift"])
        set_register(tab, degree, polynomial.exponents[1:-1], seed, size, percent, rule)
        shown = shown_register(tab)

        register = LFSR(polynomial, seed, require_primitive=False)
        states = register.states(register.period)
        if rule == "rejection":
            places = [state - 1 if state <= size else -1 for state in states.tolist()]
        else:
            places = reduce_states(states, size, degree).tolist()
        first = list(dict.fromkeys(place for place in places if place >= 0))
        kept = min(max(1, round(percent / 100 * size)), len(first))
        case = (str(polynomial), seed, size, percent, rule)
        assert shown["period"] == register.period, case
        assert shown["reached"] == len(first), case
        assert shown["kept"] == kept, case
        assert shown["states"] == states[:12].tolist(), case
        assert shown["places"] == places[:12], case
        classes = dict.fromkeys(first, "reached") | dict.fromkeys(first[:kept], "kept")
        assert shown["grid"] == [classes.get(p, "never") for p in range(size)], case
        assert shown["label"].startswith(f"Grid of {size} positions: {kept} kept"), case
        if polynomial.is_primitive() and "clocks" in shown and (rule != "rejection" or size < 2**degree):
            mask = lfsr_mask((size,), percent / 100, polynomial, seed, reduction=rule)
            assert (shown["clocks"], shown["lost"]) == (mask.clocks, mask.clocks - mask.kept), case
            assert [c == "kept" for c in shown["grid"]] == mask.keep.tolist(), case


def test_register_explorer_takes_a_keyboard_and_refuses_a_seed_that_never_moves(visit):
    tab = visit("02-lfsr", PHONE)
    knobs = tab.locator("#register-explorer form")
    knobs.locator("[name=density]").focus()
    tab.keyboard.press("ArrowRight")
    assert knobs.locator("output").inner_text() == "51 %"
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.name") == "tap"
    before = shown_register(tab)
    tab.keyboard.press("Space")
    assert shown_register(tab)["grid"] != before["grid"]

    seed = knobs.locator("[name=seed]")
    for bad in ("0", "512", "1.5", ""):
        seed.fill(bad)
        assert seed.get_attribute("aria-invalid") == "true"
        assert "1 to 511" in tab.locator("#register-explorer [role=status]").inner_text()
        assert not tab.locator("#register-explorer .views").is_visible()
    seed.fill("511")
    assert shown_register(tab)["states"][0] == 511
    assert tab.told == []


# ---- the code explorer ----


def test_code_explorer_agrees_with_the_library(visit):
    tab, table = visit("03-bits"), load_cell_table()
    everything = tab.evaluate(
        """() => {
            const root = document.querySelector("#code-explorer"), slider = root.querySelector("input");
            return Array.from({length: Number(slider.max) + 1}, (_, i) => {
                slider.value = i;
                slider.dispatchEvent(new Event("input", {bubbles: true}));
                const plain = (css) => root.querySelector(css).textContent.replace("\u2212", "-");
                const rows = Array.from(root.querySelectorAll("tbody tr"), (row) => [row.dataset.encoding, {
                    cells: Array.from(row.querySelectorAll("code"), (c) => c.textContent),
                    ones: Number(row.cells[2].textContent),
                    pj: Number(row.querySelector(".price").textContent),
                }]);
                const code = Number(plain("[data-value=code]"));
                return [Number(plain("output")), code, Object.fromEntries(rows)];
            });
        }"""
    )
    assert len(everything) == 401
    assert (everything[0][0], everything[-1][0]) == (-1, 1)
    for weight, code, rows in everything[::8]:
        assert len(rows) == 4
        for encoding, shown in rows.items():
            example = worked_example(float(weight), 1.0, 8, encoding, table)
            assert (code, shown["cells"]) == (example.code[0], list(example.bits))
            assert shown["ones"] == "".join(example.bits).count("1")
            assert shown["pj"] == pytest.approx(1e12 * example.energy_j.sum(), abs=6e-4)


def test_code_explorer_takes_a_keyboard(visit):
    tab = visit("03-bits", PHONE)
    root = tab.locator("#code-explorer")

    def code() -> int:
        return int(root.locator("[data-value=code]").inner_text().replace("\u2212", "-"))

    root.locator("input").focus()
    tab.keyboard.press("End")
    assert code() == 127
    tab.keyboard.press("ArrowLeft")
    assert code() == 126
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")  # one code down
    assert code() == 125
    for _ in range(2):
        tab.keyboard.press("Tab")
    tab.keyboard.press("Space")  # change the sign
    assert code() == -125
    assert tab.told == []


# ---- the first figure ----


GAINS_SWITCHES = ("removed", "machine", "index", "converter", "inputs", "table")


def gains_state(tab) -> str:
    chosen = [tab.locator(f"#gains-explorer [name=gains-{name}]:checked") for name in GAINS_SWITCHES]
    return " ".join(one.get_attribute("value") for one in chosen)


def gains_shown(tab) -> list[float]:
    marks = "#gains-explorer .point"
    return tab.locator(marks).evaluate_all("marks => marks.map((mark) => Number(mark.dataset.gain))")


def gains_tables(tab) -> dict:
    return json.loads(tab.locator("#gains-explorer-tables").text_content())


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_first_figure_shows_what_its_switches_say(visit, viewport):
    tab, draw = visit("index", viewport), random.Random(1)
    tab.emulate_media(reduced_motion="reduce")
    tables = gains_tables(tab)
    assert gains_state(tab) == " ".join(tables["start"])
    for state in draw.sample(list(tables["gain"]), 40):
        tab.evaluate(
            """([names, values]) => {
                const form = document.querySelector("#gains-explorer form");
                names.forEach((name, i) => (form.elements[`gains-${name}`].value = values[i]));
                form.dispatchEvent(new Event("change"));
            }""",
            [GAINS_SWITCHES, state.split()],
        )
        assert gains_shown(tab) == tables["gain"][state]
        story = tab.locator("#gains-explorer [role=status]").inner_text()
        removed, machine = state.split()[:2]
        machine = tables["best"].get(state, [machine] * 6)[3]
        twofold = tables["networks"][f"{removed} {machine}"][3]
        assert f"{twofold['accuracy']:.1f} %" in story
        sizes = tab.locator("#gains-explorer svg text").evaluate_all(
            "words => words.map((word) => parseFloat(getComputedStyle(word).fontSize))"
        )
        assert min(sizes) >= 11
        # Names lie in the picture and on no other name.
        boxes = tab.locator("#gains-explorer .point text").evaluate_all(
            """words => words.map((word) => {
                const { x, y, width, height } = word.getBBox();
                return [x, y, x + width, y + height];
            })"""
        )
        width = tab.locator("#gains-explorer svg").evaluate("drawing => drawing.viewBox.baseVal.width")
        assert all(box[0] >= -1 and box[2] <= width + 3 for box in boxes), state
        for first, second in itertools.combinations(boxes, 2):
            across = min(first[2], second[2]) - max(first[0], second[0])
            down = min(first[3], second[3]) - max(first[1], second[1])
            assert min(across, down) <= 4, (state, first, second)
    assert tab.told == []


def test_first_figure_takes_a_keyboard_and_moves(visit):
    tab = visit("index", PHONE)
    tab.locator("#gains-explorer [name=gains-machine]:checked").focus()
    for _ in range(3):
        tab.keyboard.press("ArrowRight")
    assert gains_state(tab).split()[1] == "grouped"
    assert "groups of columns" in tab.locator("#gains-explorer [role=status]").inner_text()
    slides = tab.locator("#gains-explorer [data-view=slides]")
    place = "#gains-explorer .point.twofold circle"
    before = float(tab.locator(place).get_attribute("cx"))
    slides.focus()
    tab.keyboard.press("Enter")
    assert slides.get_attribute("aria-pressed") == "true"
    after = tab.wait_for_function(
        """([place, before]) => {
            const now = Number(document.querySelector(place).getAttribute("cx"));
            return now > before + 20 && now;
        }""",
        arg=[place, before],
    )
    assert after.json_value() > before
    assert gains_state(tab) == "50 packed free none free slides"
    tab.emulate_media(reduced_motion="reduce")
    tab.locator("#gains-explorer [data-view=everything]").click()
    assert gains_shown(tab) == gains_tables(tab)["gain"][gains_state(tab)]
    assert tab.told == []


def test_first_figure_has_a_picture_without_a_script(browser, pages):
    context = browser.new_context(java_script_enabled=False, viewport=PHONE)
    tab = context.new_page()
    tab.goto((pages[0].parent / "index.html").as_uri())
    assert tab.locator("#gains-explorer .gains-still").is_visible()
    context.close()


# ---- the results explorer ----


def rows_in_words(tab) -> str:
    return tab.locator("#runs-explorer .story").inner_text()


def dots(tab) -> int:
    return tab.evaluate(
        "Chart.getChart(document.querySelector('#runs-explorer canvas'))"
        ".data.datasets.filter((set) => set.order).reduce((sum, set) => sum + set.data.length, 0)"
    )


def address_of(tab) -> str:
    """What the page itself says; ``tab.url`` follows a replaced state only when the browser reports it."""
    return tab.evaluate("location.href")


def csv_of(tab) -> pd.DataFrame:
    with tab.expect_download() as download:
        tab.locator("#runs-explorer [name=download]").click()
    return pd.read_csv(download.value.path())


def test_results_explorer_filters_sorts_and_hands_on_what_it_shows(visit):
    tab, machines = visit("explorer"), load_machines()
    tab.locator("#runs-explorer [name=least]").fill("80")
    tab.locator("#runs-explorer [name=q]").fill("twofold 50 %")
    tab.locator("#runs-explorer [data-facet=table] summary").click()
    tab.locator("#runs-explorer input[name=table][value=isaac]").check()
    tab.locator("#runs-explorer [data-facet=network] summary").click()
    tab.locator("#runs-explorer input[name=network][value=resnet8]").check()
    runs = load_results().drop_duplicates("label").set_index("label")
    wanted = machines[
        machines.table.isin(["slides", "isaac"])
        & runs.network[machines.label].isin(["resnet20", "resnet8"]).to_numpy()
        & (machines.accuracy >= 80)
        & machines.label.str.contains("twofold")
        & machines.label.str.contains("50 %", regex=False)
    ]
    assert rows_in_words(tab).startswith(f"{len(wanted)} of {len(machines)} rows")
    assert dots(tab) == len(wanted)
    shown = csv_of(tab)
    keys = ["run", "machine", "table"]
    numbers = [name for name in machines if name in shown and machines[name].dtype.kind == "f"]
    expected = wanted.set_index(keys).loc[list(zip(*(shown[key] for key in keys), strict=True))]
    assert np.array_equal(shown[numbers], expected[numbers])
    assert shown.gain.is_monotonic_decreasing

    head = tab.locator('#runs-explorer .tabulator-col[tabulator-field="accuracy"]')
    head.focus()
    tab.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert csv_of(tab).accuracy.is_monotonic_decreasing
    tab.keyboard.press("Tab")
    assert tab.told == []


def test_results_explorer_address_restores_the_view(visit):
    tab = visit("explorer")
    tab.locator("#runs-explorer select[name=x]").select_option("adc_j")
    tab.locator("#runs-explorer [name=xlog]").uncheck()
    tab.locator("#runs-explorer [name=q]").fill("rows")
    tab.locator('#runs-explorer .tabulator-col[tabulator-field="arrays"]').click()
    tab.locator("#runs-explorer .pick").first.click()
    before = rows_in_words(tab), dots(tab), tab.locator("#runs-explorer .point").inner_text()
    address = address_of(tab)
    assert "(pinned)" in before[2]
    tab.goto("about:blank")
    tab.goto(address)
    tab.wait_for_selector("#runs-explorer .tabulator-row")
    assert (rows_in_words(tab), dots(tab), tab.locator("#runs-explorer .point").inner_text()) == before
    assert tab.locator("#runs-explorer select[name=x]").input_value() == "adc_j"
    assert not tab.locator("#runs-explorer [name=xlog]").is_checked()
    assert csv_of(tab).arrays.is_monotonic_decreasing
    assert address_of(tab) == address
    tab.locator("#runs-explorer [name=reset]").click()
    assert "#" not in address_of(tab)
    assert tab.told == []


@pytest.mark.parametrize(
    "odd, shown",
    [
        ("x=label", "x=label"),
        ("colour=red", "colour=red"),
        ("machine=packed,quantum", "machine=quantum"),
        ("least=much", "least=much"),
        ("row=<b>no</b>", "row=<b>no</b>"),
        ("sort=-height", "sort=-height"),
        ("ylog=2", "ylog=2"),
    ],
)
def test_results_explorer_ignores_a_bad_address_and_says_so(visit, odd, shown):
    tab = visit("explorer")
    line = tab.locator("#runs-explorer .ignored")
    assert not line.is_visible()
    everything = rows_in_words(tab)
    tab.evaluate("hash => { location.hash = hash; }", odd)
    line.wait_for(state="visible")
    assert line.inner_text().endswith(f"which is ignored: {shown}.")
    if not odd.startswith("machine"):
        assert rows_in_words(tab) == everything
    assert tab.told == []


def test_results_explorer_leaves_the_anchors_of_headings_alone(visit):
    tab = visit("explorer")
    tab.evaluate("location.hash = 'results-explorer'")
    assert not tab.locator("#runs-explorer .ignored").is_visible()
    assert address_of(tab).endswith("#results-explorer")


def test_results_explorer_walks_by_keyboard_and_pins(visit):
    tab = visit("explorer", PHONE)
    plot = tab.locator("#runs-explorer .plot")
    plot.focus()
    tab.keyboard.press("ArrowRight")
    point = tab.locator("#runs-explorer .point")
    first = point.inner_text()
    assert "data/results/" in first
    tab.keyboard.press("End")
    last = point.inner_text()
    assert last != first
    tab.keyboard.press("Enter")
    assert "(pinned)" in point.inner_text()
    assert "row=" in address_of(tab)
    tab.keyboard.press("Escape")
    assert "row=" not in address_of(tab)
    assert tab.told == []


def test_results_explorer_follows_the_scheme(visit):
    tab = visit("explorer")
    chart = "Chart.getChart(document.querySelector('#runs-explorer canvas'))"
    color = f"{chart}.options.scales.x.ticks.color"
    turn(tab, "light")
    light = tab.evaluate(color)
    turn(tab, "dark")
    tab.wait_for_function(f"({color}) !== {json.dumps(light)}")
    assert tab.told == []


def test_results_explorer_says_where_its_table_lies_without_a_script(browser, pages):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto((pages[0].parent / "explorer.html").as_uri())
    assert "data/results/machines.csv" in tab.locator("#runs-explorer").inner_text()
    context.close()
