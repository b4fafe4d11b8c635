"""Tables at every width: no word is broken, no cell cut, and what tells rows apart can be read."""

import io
import re
from collections import Counter

import pytest
from activmask_cli.console import PlainConsole
from activmask_cli.demo import networks_table
from activmask_cli.fitting import fitted, in_parts
from activmask_cli.tables import print_table, result_table, stacked
from hypothesis import given
from hypothesis import strategies as st
from in_process import told
from sited import sited

LINES = re.compile(r"[━┳┃┡╇┩│└┴┘┏┓─|]+")


def printed(table, width, *, terminal=True):
    console = PlainConsole(file=io.StringIO(), force_terminal=terminal, color_system=None, width=width)
    print_table(table, console)
    return console.file.getvalue()


def words(text):
    """Every word, without what frames cells."""
    return Counter(word for line in text.splitlines() for word in LINES.sub(" ", line).split())


def plain(cell):
    return cell if isinstance(cell, str) else " ".join(cell.lines)


WORD = st.text("abcdefgh/-_.,", min_size=1, max_size=40)
NAME = st.lists(WORD, min_size=1, max_size=5).map(" ".join)
NUMBER = st.one_of(
    st.sampled_from(["", "-", "0.500", "0.280 to 0.720", "0.123 ± 0.456"]),
    st.tuples(st.just("0.98 ± 0.01"), st.sampled_from(["9/0/1", "-0.7 SD"])).map(stacked),
)


@st.composite
def tables(draw):
    names, numbers = draw(st.integers(1, 4)), draw(st.integers(0, 9))
    texts = draw(st.sets(st.integers(names, names + numbers - 1), max_size=2)) if numbers else set()
    columns = draw(st.lists(NAME, min_size=names + numbers, max_size=names + numbers))
    table = result_table(draw(NAME), *columns, names=names, texts=texts, framed=draw(st.booleans()))
    for row in range(draw(st.integers(1, 4))):
        own = [f"r{row}x{number} {draw(NAME)}" for number in range(names)]
        rest = [draw(NAME if names + number in texts else NUMBER) for number in range(numbers)]
        table.add_row(*own, *rest)
    return table, names


@given(tables(), st.integers(60, 140))
def test_every_word_of_every_cell_is_there_whole(drawn, width):
    table, names = drawn
    text = printed(table, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    told = words(text)
    for cells, _ in table.rows:
        for cell in cells:
            assert words(plain(cell)) <= told
    marks = [f"r{row}x{number}" for row in range(len(table.rows)) for number in range(names)]
    assert all(told[mark] >= 1 for mark in marks)
    # Rows come one after the other: none of a row's names stands below the first of the next.
    first = {mark: text.index(mark) for mark in marks}
    for row in range(len(table.rows) - 1):
        own, following = ([first[f"r{k}x{number}"] for number in range(names)] for k in (row, row + 1))
        assert max(own) < min(following)


@given(tables(), st.integers(60, 140))
def test_in_a_pipe_every_row_is_a_line(drawn, width):
    table, _ = drawn
    lines = [list(words(line)) for line in printed(table, width, terminal=False).splitlines()]
    for cells, _ in table.rows:
        whole = " ".join(cell if isinstance(cell, str) else cell.lines[0] for cell in cells)
        assert list(words(whole)) in lines


def test_names_stand_above_numbers_where_both_find_no_room():
    table = result_table("By group", "checkpoint", "class", "n", "accuracy", "95 %", names=2)
    table.add_row("a" * 30, "b" * 20, "8", "0.500", "0.280 to 0.720")
    above = printed(table, 60).splitlines()
    assert above[0] == "By group"
    assert above[1] == "(names stand above their numbers; in one piece at 81"
    assert above[3] == "checkpoint | class"
    assert above[-2:] == [f"{'a' * 30} | {'b' * 20}", "  8     0.500  0.280 to 0.720".ljust(60)]
    assert "one piece" in printed(table, 80)
    assert "one piece" not in printed(table, 81)


def test_columns_that_find_no_room_come_in_parts_with_their_names():
    table = result_table("Scores", "run", *(f"measure-of-number-{k}" for k in range(9)))
    table.add_row("plain", *map(str, range(9)))
    text = printed(table, 60)
    assert "in 5 parts" in " ".join(text.split())
    assert text.count("Scores, continued") == 4
    assert words(text)["plain"] == 5


@pytest.mark.parametrize(
    ("spans", "room", "widths"),
    [
        ([(3, 9), (2, 4)], 20, [9, 4]),
        ([(3, 9), (2, 4)], 11, [7, 4]),
        ([(3, 9), (2, 4)], 5, [3, 2]),
        ([(3, 9), (2, 4)], 4, None),
        ([(5, 5), (2, 9), (2, 9)], 15, [5, 5, 5]),
    ],
)
def test_the_widest_column_gives_way_first(spans, room, widths):
    assert fitted(spans, room) == widths


def test_parts_by_hand():
    assert in_parts([5, 5, 5], 12, 2) == [range(2), range(2, 3)]
    assert in_parts([5, 40, 5], 12, 2) == [range(1), range(1, 2), range(2, 3)]
    assert in_parts([], 12, 2) == [range(0)]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_networks_of_the_demo_are_named(width):
    scores = {"valid_auc_last_epoch": 0.0, "valid_auc_best_epoch": 0.123, "attribution": 0.5, "chance": 0.25}
    found = [{"network": name, **scores} for name in ("baseline", "actdiff")]
    lines = printed(networks_table(found), width).splitlines()
    for name in ("baseline", "actdiff"):
        [row] = [line for line in lines if name in line]
        assert list(words(row)) == [name, "0.000", "0.123", "50%", "(chance", "25%)"]


def test_cells_of_wide_letters_and_escapes_are_whole():
    table = result_table("", "run", "AUC")
    table.add_row("中文字符" * 12 + "\x1b", "0.5")
    [*_, name, number] = printed(table, 60).splitlines()
    assert name == "中文字符" * 12 + "\\x1b"
    assert number.split() == ["0.5"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs on images of two sites, called alike but for their last letter."""
    root = tmp_path_factory.mktemp("narrow")
    usual = ("--n", 12, "--valid", 12, "--test", 24, "--size", 16, "--out", "crosses")
    told("make-synthetic", *usual, cwd=root)
    sited(root / "crosses", root / "sites")
    quick = ("--model", "cnn", "--width", 2, "--epochs", 2, "--lr", 1e-3, "--device", "cpu", "--threads", 1)
    for name in ("siteA", "siteB"):
        told("train", "--data", "sites", *quick, "--seeds", "0,1", "--out", f"runs/{name}", cwd=root)
    return root


AUDIT = ("audit", "--data", "sites", "--model", "runs/siteA/seed-0/best.safetensors", "--draws", 1)


@pytest.mark.process
@pytest.mark.parametrize(
    ("command", "named"),
    [
        (("evaluate", "runs", "--groups", "site", "--device", "cpu"), ("siteA,", "siteB,", "crosses")),
        ((*AUDIT, "--without", "leaks", "--device", "cpu"), ("condition", "metric", "shuffled", "site")),
        (("table", "runs"), ("Experiment", "Classify", "siteA)", "siteB)")),
    ],
    ids=["evaluate", "audit", "table"],
)
def test_a_terminal_of_80_columns_shows_what_a_pipe_gets(runs, command, named):
    shown = told(*command, cwd=runs, terminal=80).stdout
    assert max(map(len, (line for line in shown.splitlines() if not line.startswith("next: ")))) <= 80
    assert "…" not in shown
    narrow, piped = words(shown), words(told(*command, cwd=runs).stdout)
    assert piped <= narrow
    assert all(piped[word] for word in named)
