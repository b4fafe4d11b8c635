"""The page of an audit: escaped, whole, readable in a real browser at any width, and asking nobody."""

import csv
import re

import pytest
from audited_models import N, audited
from browser_pages import CHROMIUM, DRIVER, asked_for, emulate, open_browser, own_tab

from activmask.auditing.page.changed import most_changed
from activmask.auditing.page.write import check_place, write_audit
from activmask.ground.errors import UsageError

HOSTILE = "<b>&\"'\x1b"

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def found():
    return audited(
        class_names=["well", HOSTILE],
        names=[f"{k} {HOSTILE}.png" for k in range(N)],
        groups={HOSTILE: [HOSTILE, "other"] * 12 + ["other", HOSTILE] * 12},
        without=["leaks"],
    )


@pytest.fixture(scope="module")
def page(found, tmp_path_factory):
    return write_audit(found, tmp_path_factory.mktemp("page") / "audit", command=f"activmask audit {HOSTILE}")


def test_names_are_text_whatever_they_hold(page):
    text = page.read_text(encoding="utf-8")
    assert "<b>" not in text
    assert "\x1b" not in text
    assert "&lt;b&gt;&amp;" in text


def test_the_page_says_what_was_found(page, found):
    text = page.read_text(encoding="utf-8")
    assert found.verdict[0] in text
    headings = re.findall(r"<h2[^>]*>([^<]*)</h2>", text)
    assert headings == [
        "What was audited",
        "What is left of the score",
        "One by one",
        "Images where the outside mattered most",
        "Where it looks",
        "What a clinician asks",
        "Whom it fails",
        "How this page was made",
    ]
    names = re.findall(r'\bid="([^"]*)"', text)
    assert len(names) == len(set(names))
    links = set(re.findall(r'href="([^"#:]+)"', text))
    assert links >= {"audit.json", "predictions.csv"}
    assert all((page.parent / link).is_file() for link in links)


def test_its_tables_hold_the_numbers(page, found):
    with (page.parent / "tables/conditions.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[1][0] == "full"
    assert rows[1][2].startswith(f"{found.conditions.rows[0].auc.value:.3f}")


def test_images_are_those_of_the_greatest_change(found):
    changed = most_changed(found, 3)
    changes = [abs(one.full - one.destroyed) for one in changed]
    assert changes == sorted(changes, reverse=True)
    # The corner is bright in one class alone, and it is shuffled away.
    assert {one.true for one in changed} == {HOSTILE}
    assert changed[0].full > 0.9 > changed[0].destroyed
    assert changed[0].attribution[:4, :4].mean() > changed[0].attribution[8:, 8:].mean()


def test_images_with_files_are_linked_to(found, tmp_path):
    from dataclasses import replace

    root = tmp_path / "own data"
    linked = replace(found, material=replace(found.material, root=root), clinic=None, looks=None)
    text = write_audit(linked, tmp_path / "deep" / "page").read_text(encoding="utf-8")
    assert 'href="../../own%20data/' in text


def test_a_folder_of_something_else_is_never_replaced(page, tmp_path):
    check_place(page.parent)
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="not a page of an audit"):
        check_place(tmp_path, overwrite=True)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    pytest.importorskip("selenium", reason="selenium is not installed")
    if not (CHROMIUM and DRIVER):
        pytest.skip("chromium and chromedriver are not both installed")
    with open_browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def test_it_opens_without_errors_and_asks_nobody(browser, page):
    with own_tab(browser) as tab:
        browser.get_log("browser")
        urls = asked_for(browser, tab, page.as_uri())
        assert browser.get_log("browser") == []
        assert {url for url in urls if not url.startswith("data:")} == {page.as_uri()}


@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("dark", [False, True])
def test_it_never_scrolls_sideways(browser, page, width, dark):
    browser.get(page.as_uri())
    emulate(browser, width=width, dark=dark)
    wide, inner = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= inner == width


LAST_CELLS = """
return [...document.querySelectorAll("table")].map(table => {
    const box = table.closest(".scroll");
    box.scrollLeft = box.scrollWidth;
    const row = table.tBodies[0].rows[0], edge = box.getBoundingClientRect();
    const first = row.cells[0].getBoundingClientRect();
    const last = row.cells[row.cells.length - 1].getBoundingClientRect();
    return {
        wide: box.scrollWidth > box.clientWidth,
        scrolled: box.scrollLeft > 0,
        inside: edge.left >= 0 && edge.right <= innerWidth,
        whole: last.left >= first.right - 1 && last.right <= edge.right + 1,
    };
});
"""


def test_on_a_telephone_wide_tables_scroll_in_their_box_to_the_whole_last_column(browser, page):
    browser.get(page.as_uri())
    emulate(browser, width=400)
    tables = browser.execute_script(LAST_CELLS)
    assert sum(one["wide"] for one in tables) >= 2
    for one in tables:
        assert one["inside"]
        assert one["scrolled"] == one["wide"]
        assert one["whole"]
