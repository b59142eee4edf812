"""The report in a real browser: it opens from disk, answers to mouse and keyboard, and fits."""

import re

import polars as pl
import pytest

pytestmark = pytest.mark.browser
WIDTH = "return [document.documentElement.scrollWidth, window.innerWidth]"


def one(window, css):
    """The first element of a selector, at mid window."""
    found = window.find_element("css selector", css)
    window.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
    return found


def read(window):
    """What the matrix reads out."""
    return one(window, ".map output").text


def square(window, row, column, genes=30):
    """Where a square lies, from the middle of the canvas, and its colour."""
    return window.execute_script(
        """
        const canvas = document.querySelector("canvas"), whole = canvas.width;
        const image = canvas.getContext("2d");
        const side = 18, margin = whole - arguments[2] * side;
        const [x, y] = [arguments[1], arguments[0]].map((k) => margin + (k + 0.5) * side);
        return [x - whole / 2, y - whole / 2, [...image.getImageData(x, y, 1, 1).data]];
        """,
        row, column, genes,
    )  # fmt: skip


def by_name(window):
    """Order the matrix by name, so that places are known."""
    one(window, ".map select option[value='1']").click()


def press(window, *keys):
    one(window, "canvas").send_keys(*keys)


def rows(window, table):
    """Cells of the rows that are shown."""
    return window.execute_script(
        "return [...arguments[0].tBodies[0].rows].filter((r) => r.offsetParent)"
        ".map((r) => [...r.cells].map((c) => c.textContent))",
        table,
    )


def expected(frame, test, a, b):
    """The row of a pair."""
    return frame.filter(test=test, a=a, b=b).row(0, named=True)


def test_it_opens_from_disk_without_a_word_on_the_console_and_loads_nothing(opened):
    assert opened.title == "epistax report: scores"
    assert [e["message"] for e in opened.get_log("browser")] == []
    assert opened.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert one(opened, "canvas").is_displayed() and not opened.find_elements("css selector", "img")


def test_a_script_that_is_not_the_pages_own_does_not_run(opened):
    opened.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.evil = 1';"
        "document.body.append(s)"
    )
    assert opened.execute_script("return window.evil === undefined")
    (said,) = opened.get_log("browser")
    assert "Content Security Policy" in said["message"]


def test_pointing_at_a_square_reads_its_pair_and_figures(opened, small):
    from selenium.webdriver import ActionChains

    by_name(opened)
    for row, column, test, symbol in ((3, 17, "additive", "R"), (17, 3, "cosine", "cos²")):
        canvas = one(opened, "canvas")
        x, y, _ = square(opened, row, column)
        ActionChains(opened, duration=20).move_to_element_with_offset(canvas, x, y).perform()
        want = expected(small[1], test, "G00003", "G00017")
        pair, value, *q = re.split(r": \S+ |, q ", read(opened))
        assert pair == "G00003 + G00017" and f": {symbol} " in read(opened)
        assert float(value) == pytest.approx(want["statistic"], rel=6e-3)
        assert [float(v) for v in q] == pytest.approx(
            [] if want["q_value"] is None else [want["q_value"]], rel=0.6
        )


def test_colour_goes_with_the_figure(opened, small):
    by_name(opened)
    frame = small[1].filter(test="additive").sort("score")
    light = []
    for at in (0, 200, -1):
        a, b = (int(name[1:]) for name in frame.row(at)[:2])
        light.append(sum(square(opened, a, b)[2][:3]))
    assert light == sorted(light, reverse=True) and light[0] > 700 and light[2] < 200


def test_the_matrix_is_walked_through_by_keyboard(opened):
    from selenium.webdriver.common.keys import Keys

    by_name(opened)
    press(opened, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    assert read(opened).startswith("G00001 + G00003: R ")
    press(opened, Keys.HOME)
    assert read(opened).startswith("G00000 + G00001: cos² ")
    press(opened, Keys.ARROW_LEFT, Keys.PAGE_UP, Keys.END)
    assert read(opened).startswith("G00000 + G00029: R ")
    press(opened, Keys.ENTER)
    assert one(opened, ".map input").get_attribute("value") == "G00000"
    assert "G00000: its row and column are outlined" in read(opened)
    press(opened, Keys.ESCAPE)
    assert one(opened, ".map input").get_attribute("value") == ""
    assert not opened.find_elements("css selector", ".partners table")


def test_a_gene_is_found_with_its_strongest_partners(opened, small):
    find = one(opened, ".map input")
    find.send_keys("g00007")
    assert read(opened) == "G00007: its row and column are outlined"
    own = (pl.col("a") == "G00007") | (pl.col("b") == "G00007")
    best = small[1].filter(own, test="additive").sort("statistic", descending=True).head(10)
    want = [b if a == "G00007" else a for a, b in best.select("a", "b").iter_rows()]
    table = one(opened, ".partners table")
    assert [row[0] for row in rows(opened, table)] == want
    assert "by additive, of 29 shown" in table.text
    find.clear()
    find.send_keys("TP53")
    assert read(opened) == "TP53: not among the 30 shown"
    find.clear()
    find.send_keys("G0000")
    assert read(opened) == "G0000: 10 names begin so"


def test_tables_are_sorted_and_searched(opened, small):
    table = one(opened, "table.sorts:has(button[aria-label])")
    best = small[1].filter(test="additive").sort("p_value")
    assert [row[1] for row in rows(opened, table)] == [
        f"{a} + {b}" for a, b in best.head(20).select("a", "b").iter_rows()
    ]
    heads = table.find_elements("css selector", "thead button")
    assert [h.text for h in heads][1:] == ["pair", "R", "se", "p", "q"]
    heads[2].click()
    assert table.find_elements("css selector", "th")[2].get_attribute("aria-sort") == "ascending"
    rising = [float(row[2]) for row in rows(opened, table)]
    assert len(rising) == 20 and rising == sorted(rising)
    weakest = best.head(200)["statistic"].min()
    assert rising[0] == pytest.approx(weakest, rel=1e-3)
    heads[2].click()
    assert float(rows(opened, table)[0][2]) == pytest.approx(best["statistic"].max(), rel=1e-3)
    heads[0].click()
    assert [row[0] for row in rows(opened, table)] == [f"{k}" for k in range(1, 21)]
    controls = one(opened, ".listed .controls")
    find, all_rows = (controls.find_element("css selector", s) for s in ("input", "button"))
    find.send_keys("g00003")
    shown = rows(opened, table)
    assert 0 < len(shown) < 30 and all("G00003" in row[1] for row in shown)
    assert f"{len(shown)} of 200 rows" in controls.text
    find.clear()
    find.send_keys(" ")
    all_rows.click()
    assert len(rows(opened, table)) == 200 and all_rows.text == "first 20 rows"


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_window(width, browser, small, request):
    window = request.getfixturevalue("narrow" if width == 400 else "opened")
    whole, inner = window.execute_script(WIDTH)
    assert whole <= inner == width
    wide = window.execute_script(
        "return [...document.querySelectorAll('main *')].filter((e) => !e.closest('.scroll') && "
        "e.getBoundingClientRect().right > innerWidth).map((e) => e.outerHTML.slice(0, 90))"
    )
    assert wide == []
    assert int(window.execute_script("return getComputedStyle(document.body).fontSize")[:-2]) >= 16


def test_all_that_can_be_used_has_a_name(narrow):
    found = narrow.find_elements("css selector", "input, select, button, canvas, svg, [tabindex]")
    shown = [e for e in found if e.is_displayed()]
    assert len(shown) > 40
    assert [e.get_attribute("outerHTML")[:90] for e in shown if len(e.accessible_name) < 1] == []
    canvas = one(narrow, "canvas")
    assert canvas.aria_role == "application" and "Arrow keys" in canvas.accessible_name
    assert narrow.execute_script("return document.documentElement.lang") == "en"
    assert one(narrow, ".map output").get_attribute("aria-live") == "polite"
    tables = narrow.find_elements("css selector", "table")
    assert all(t.find_elements("css selector", "caption") for t in tables)


def test_without_scripts_the_page_still_reads(browser, small, opened):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.refresh()
        assert not browser.find_element("css selector", "canvas").is_displayed()
        text = browser.find_element("css selector", "main").text
        assert "without one it is in figures/matrix-additive-mmd.svg" in text
        assert "rows 21 to 200" in text
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.slow
def test_a_page_of_20_000_genes_is_small_and_quickly_there(browser, make_run):
    path, _ = make_run(20_000, 1_000_000)
    assert path.stat().st_size < 6_000_000
    metrics = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get_log("browser")  # what the tests before were told, of reading pixels
    browser.get(path.as_uri())
    (paint,) = browser.execute_script(
        "return performance.getEntriesByName('first-contentful-paint').map((e) => e.startTime)"
    )
    assert paint < 3000
    assert [e["message"] for e in browser.get_log("browser")] == []
    text = browser.find_element("css selector", "main").text
    assert re.search(r"The \d{3} of 20,000 perturbations in the strongest pairs", text)
