"""Errors: what they are about, how they are worded, and that they travel."""

import ast
import pickle
from pathlib import Path

import pytest

from activmask.data.skipped import reason
from activmask.ground import errors
from activmask.ground.errors import ActivmaskError, DataError

ROOT = Path(__file__).parents[1]
FAMILY = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ActivmaskError)
]
TABLE = Path("data/metadata.csv")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (DataError("there is no image"), "there is no image"),
        (DataError("no image has label 1", path=TABLE), "data/metadata.csv: no image has label 1"),
        (
            DataError("label must be 0, 1, ...", path=TABLE, row=3, found="'x'", advice="mend it"),
            "data/metadata.csv, row 3: label must be 0, 1, ...; found 'x'; mend it",
        ),
        (
            DataError("{path} holds 2 frames", path=TABLE, expected="one", advice="cut it"),
            "data/metadata.csv holds 2 frames, expected one; cut it",
        ),
        (
            DataError(path=TABLE, row=7, expected="3 cells", found=2),
            "data/metadata.csv, row 7: expected 3 cells, found 2",
        ),
        (
            DataError("{path} is of another format", path=TABLE, expected=1, found=2, advice="update"),
            "data/metadata.csv is of another format; expected 1, found 2; update",
        ),
        (DataError("found nothing", found=0), "found nothing; found 0"),
        (DataError("the word {path} of nobody's"), "the word {path} of nobody's"),
    ],
)
def test_the_sentence_is_made_of_the_facts(error, sentence):
    assert str(error) == sentence


@pytest.mark.process
@pytest.mark.parametrize("kind", FAMILY)
def test_an_error_is_the_same_in_another_process(kind):
    error = kind("{path} is odd", path=TABLE, row=2, expected="x", found="y", advice="z")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert vars(back) == vars(error)
    assert str(back) == str(error)


def test_a_path_is_told_from_the_folder_it_lies_in():
    error = DataError("{path} is broken", path=Path("/a/b/c.png"), row=4, found=1, advice="mend it")
    told = error.told_from((None, Path("/x"), Path("/a")))
    assert (told.path, told.row, str(told)) == (Path("b/c.png"), 4, "b/c.png is broken; found 1; mend it")
    assert str(error).startswith("/a/b/c.png")
    assert error.told_from((Path("/a/b"),), Path("/else/where")).path == Path("/else/where/c.png")
    assert error.told_from((Path("/a/b2"),)) is error
    assert str(DataError("nowhere").told_from((Path("/a"),))) == "nowhere"


def test_only_the_path_is_shortened_and_not_a_word_of_the_sentence():
    error = DataError("{path} names /a/b/ itself", path=Path("/a/b/c.png"))
    assert reason(error, (None, Path("/a/b"))) == "c.png names /a/b/ itself"


def sentences(tree: ast.AST) -> list[str]:
    """The first argument of every error that is made, what is filled in left out."""
    kinds = {kind.__name__ for kind in FAMILY}
    return [
        "".join(part.value for part in ast.walk(call.args[0]) if isinstance(getattr(part, "value", 0), str))
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in kinds
        and call.args
    ]


def test_no_error_words_its_row_or_its_finding_itself():
    for path in (ROOT / "activmask").rglob("*.py"):
        for sentence in sentences(ast.parse(path.read_text(encoding="utf-8"))):
            assert ", row " not in sentence, (path, sentence)
            assert "; found " not in sentence, (path, sentence)


def test_the_search_for_worded_errors_can_fail():
    tree = ast.parse("raise DataError(f'{table}, row {n}: odd; found {x}')")
    assert sentences(tree) == [", row : odd; found "]
