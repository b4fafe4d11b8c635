"""The page in a real browser: a headless Chromium that opens it from the disk."""

import base64

import pytest
from browser_pages import CHROMIUM, DRIVER, asked_for, drawn, emulate, open_browser, own_tab
from report_runs import train_runs

from activmask.report.write import write_report
from activmask.runs.results import find_runs

pytest.importorskip("selenium", reason="selenium is not installed")
pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not both installed"),
]

PORTRAIT, LANDSCAPE = 688, 1017
"""Width in px of what an A4 sheet shows between its margins."""

SCORES = "table[aria-labelledby=table-scores-synthetic]"
DIFFERENCES = "table[aria-labelledby=table-differences-synthetic]"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    return write_report(find_runs([train_runs(folder, epochs=1)]), folder / "report")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def opened(browser, page):
    emulate(browser, width=1600)
    browser.get(page.as_uri())
    return browser


def titles(browser, table):
    """Of the rows that are shown, without the small print under them."""
    return [text.splitlines()[0] for text in texts(browser, f"{table} tbody th") if text]


def all_of(browser, selector):
    return browser.find_elements("css selector", selector)


def texts(browser, selector):
    return [element.text for element in all_of(browser, selector)]


def test_it_opens_without_errors_and_asks_nobody_for_anything(browser, page):
    with own_tab(browser) as tab:
        browser.get_log("browser")
        urls = asked_for(browser, tab, page.as_uri())
        assert "activmask" in browser.title
        assert browser.get_log("browser") == []
        assert {url for url in urls if not url.startswith("data:")} == {page.as_uri()}
        loaded = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
        assert [name for name in browser.execute_script(loaded) if not name.startswith("data:")] == []


@pytest.mark.parametrize(
    ("asking", "asked"),
    [
        ("<img src=other.png>", "other.png"),
        ("<iframe src=other.html></iframe>", "other.html"),
        ("<style>body { background: url(other.png) }</style>", "other.png"),
        ("<script>fetch('https://127.0.0.1:1/told').catch(() => 0)</script>", "told"),
    ],
)
def test_a_page_that_asked_for_something_would_be_seen(browser, tmp_path, asking, asked):
    (tmp_path / "page.html").write_text(f"<!doctype html><title>asks</title>{asking}<p>words</p>")
    with own_tab(browser) as tab:
        urls = asked_for(browser, tab, (tmp_path / "page.html").as_uri())
    assert any(url.endswith(asked) for url in urls)


@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_never_scrolls_sideways(opened, width, dark):
    emulate(opened, width=width, dark=dark)
    opened.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    wide, inner = opened.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= inner == width
    cut = """return [...document.querySelectorAll(
            "h1, h2, h3, p, dd, li, figcaption, form, summary, img, svg[role=img]")]
        .filter((one) => !one.closest(".scroll"))
        .filter((one) => one.getBoundingClientRect().right > innerWidth + 0.5)
        .map((one) => one.textContent)"""
    assert opened.execute_script(cut) == []


def test_tables_sort_by_click_and_by_key_and_say_so(opened):
    from selenium.webdriver.common.keys import Keys

    table = SCORES
    heading = all_of(opened, f"{table} th[data-column='2']")[0]
    cells = (
        f"return [...document.querySelectorAll('{table} tbody td:nth-child(3)')].map((td) => td.dataset.key)"
    )
    heading.find_element("css selector", "button").click()
    rising = [float(key) for key in opened.execute_script(cells)]
    assert heading.get_attribute("aria-sort") == "ascending"
    assert rising == sorted(rising)
    heading.find_element("css selector", "button").send_keys(Keys.ENTER)
    assert heading.get_attribute("aria-sort") == "descending"
    assert [float(key) for key in opened.execute_script(cells)] == rising[::-1]
    all_of(opened, f"{table} th[data-column='0'] button")[0].click()
    assert len(all_of(opened, f"{table} [aria-sort]")) == 1
    assert titles(opened, table) == ["CNN Actdiff", "CNN Classify", "CNN Gradmask"]


def test_empty_cells_sort_last_both_ways(opened):
    table = DIFFERENCES
    opened.execute_script(f"delete document.querySelector('{table} tbody td:nth-child(3)').dataset.key")
    empty = texts(opened, f"{table} tbody th")[0]
    button = all_of(opened, f"{table} th[data-column='2'] button")[0]
    for _ in range(2):
        button.click()
        assert texts(opened, f"{table} tbody th")[-1] == empty


def test_rows_can_be_filtered_by_words_model_and_method(opened):
    from selenium.webdriver.support.ui import Select

    def shown():
        return titles(opened, SCORES)

    assert shown() == ["CNN Classify", "CNN Actdiff", "CNN Gradmask"]
    words = all_of(opened, "input[name=words]")[0]
    words.send_keys("cnn GRAD")
    assert shown() == ["CNN Gradmask"]
    assert [one.text for one in all_of(opened, "details.run") if one.is_displayed()] == [
        "Synthetic: CNN Gradmask form as written"
    ]
    total = len(all_of(opened, "tr[data-model]"))
    assert f"of {total} rows" in all_of(opened, "output")[0].text
    all_of(opened, "button[type=reset]")[0].click()
    # The page fills its table again after the form was reset; what is put off later comes later.
    opened.execute_async_script("setTimeout(arguments[0])")
    assert len(shown()) == 3
    assert all_of(opened, "output")[0].text == ""
    Select(all_of(opened, "select[name=method]")[0]).select_by_visible_text("Actdiff")
    assert shown() == ["CNN Actdiff"]
    Select(all_of(opened, "select[name=model]")[0]).select_by_visible_text("CNN")
    assert shown() == ["CNN Actdiff"]


@pytest.mark.parametrize("dark", [False, True])
def test_the_theme_follows_the_system_and_the_button_turns_it(opened, dark):
    emulate(opened, width=1600, dark=dark)
    ground = "return getComputedStyle(document.documentElement).backgroundColor"
    ink = "return getComputedStyle(document.querySelector('figure svg text')).fill"
    before, button = opened.execute_script(ground), all_of(opened, "#theme")[0]
    assert is_dark(before) == dark
    assert is_dark(opened.execute_script(ink)) != dark
    assert button.get_attribute("aria-pressed") == str(dark).lower()
    button.click()
    assert is_dark(opened.execute_script(ground)) != dark
    assert is_dark(opened.execute_script(ink)) == dark
    assert button.get_attribute("aria-pressed") == str(not dark).lower()
    button.click()
    assert opened.execute_script(ground) == before


def test_a_row_opens_all_about_its_run(opened):
    link = all_of(opened, f"{SCORES} tbody th a")[1]
    folded = all_of(opened, "details.run")
    assert [one.get_attribute("open") for one in folded] == [None] * 3
    assert not any(one.is_displayed() for one in all_of(opened, ".opened"))
    link.click()
    drawn(opened)
    assert [one.get_attribute("open") for one in folded] == [None, "true", None]
    assert "Actdiff" in folded[1].text
    inside = opened.execute_script("return arguments[0].getBoundingClientRect().top", folded[1])
    assert -200 < inside < 900
    images = all_of(opened, "details[open] img")
    assert len(images) >= 8
    assert all(opened.execute_script("return arguments[0].naturalWidth", one) >= 112 for one in images)
    said = opened.execute_script(
        "return [...document.querySelectorAll('details[open] svg title')].map((one) => one.textContent)"
    )
    assert any(one.startswith("seed 1: highest 0.") for one in said)
    all_of(opened, "details[open] details summary")[0].click()
    assert "batch_size = 16" in folded[1].text
    # Once more by its address alone, as from a bookmark.
    opened.refresh()
    assert [one.get_attribute("open") for one in all_of(opened, "details.run")] == [None, "true", None]


def test_values_stand_on_the_marks_of_charts(opened):
    said = opened.execute_script(
        "return [...document.querySelectorAll('figure svg use title')].map((one) => one.textContent)"
    )
    assert any(one.startswith("CNN Actdiff: test AUC 0.") or "inside the mask" in one for one in said)
    lines = opened.execute_script(
        "return [...document.querySelectorAll('figure svg g > title')].map((one) => one.textContent)"
    )
    assert any(one.startswith("Actdiff highest 0.") or "highest" in one for one in lines)


def is_dark(colour):
    numbers = [float(number) for number in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    return sum(numbers) < 3 * 128


def test_print_shows_every_row_and_no_controls_on_white(opened):
    all_of(opened, "input[name=words]")[0].send_keys("gradmask")
    emulate(opened, width=PORTRAIT, dark=True, media="print")
    assert not any(one.is_displayed() for one in all_of(opened, ".controls, nav, .skip"))
    assert all(row.is_displayed() for row in all_of(opened, "tr[data-model]"))
    ink = "return getComputedStyle(document.querySelector('table')).color"
    assert is_dark(opened.execute_script(ink))
    assert cut_off(opened, "section:not(.scores)") == []
    emulate(opened, width=LANDSCAPE, media="print")
    assert cut_off(opened, "section.scores") == []
    printed = opened.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")


def cut_off(browser, part):
    """What reaches beyond its own box or the sheet."""
    return browser.execute_script(
        """return [...document.querySelectorAll(arguments[0])]
        .flatMap((part) => [...part.querySelectorAll(".scroll, table, pre, svg[role=img]")])
        .filter((one) => one.scrollWidth > one.clientWidth + 1
            || one.getBoundingClientRect().right > innerWidth)
        .map((one) => one.outerHTML.slice(0, 80))""",
        part,
    )


def test_without_scripts_everything_is_there_but_the_controls(browser, page):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(page.as_uri())
        assert len(all_of(browser, "table.sortable tbody tr")) >= 11
        assert not any(one.is_displayed() for one in all_of(browser, ".controls"))
        assert all_of(browser, "th button") == []
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_keyboard_reaches_the_results_and_the_wide_tables(opened):
    from selenium.webdriver.common.keys import Keys

    all_of(opened, "body")[0].send_keys(Keys.TAB)
    skip = opened.switch_to.active_element
    assert skip.text == "Skip to the results"
    assert skip.rect["x"] >= 0
    skip.send_keys(Keys.ENTER)
    assert opened.execute_script("return document.activeElement.id") == "main"
    assert {one.get_attribute("tabindex") for one in all_of(opened, ".scroll:has(table)")} == {"0"}
