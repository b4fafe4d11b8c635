"""What the report concludes from given numbers, and what it declines to conclude."""

from pathlib import Path

import pytest

from activmask.config import make_config
from activmask.evaluation.paired import Difference
from activmask.evaluation.spread import Spread
from activmask.experiments.results import Run
from activmask.report import answer as module
from activmask.report.answer import answer, joined
from activmask.report.baselines import Comparison
from activmask.report.measure import Measured
from activmask.report.page import Cell
from activmask.report.page_tables import difference_table, interval, p_value, score_table, signed, spread_cell
from activmask.report.reliance import Correlation
from activmask.report.summary import Row, Summary

NOBREAK = "\N{NO-BREAK SPACE}"


def experiment(method: str, *, seeds: int = 8, difference: float | None = None, p: float = 1.0) -> Row:
    metrics = {seed: {} for seed in range(seeds)}
    run = Run(folder=Path("runs") / method, config=make_config(model="cnn"), metrics=metrics)
    comparison = None
    if difference is not None:
        low, high = difference - 0.1, difference + 0.1
        found = Difference(mean=difference, low=low, high=high, p=p, n=seeds)
        comparison = Comparison(baseline=run, difference=found, adjusted_p=p)
    return Row(
        run=run,
        data="Liver",
        model="CNN",
        method=method,
        distinction="",
        scores={split: {"auc": None, "accuracy": None} for split in ("train", "valid", "test")},
        last={"auc": None, "accuracy": None},
        best_epoch=None,
        source="",
        paper={},
        beside=(),
        departures={},
        comparison=comparison,
    )


def conclude(*rows: Row) -> tuple[str, ...]:
    measured = [Measured(run=row.run, evaluations={}) for row in rows]
    return answer(Summary(rows=rows, notes=()), measured)


def test_differences_that_survive_are_named_with_their_interval():
    said = conclude(
        experiment("Classify"),
        experiment("Actdiff", difference=0.25, p=0.03),
        experiment("Gradmask", difference=-0.5, p=0.01),
        experiment("RRR", difference=0.4, p=0.05),
    )
    assert said == (
        "4 experiments with 32 trained networks on Liver. 2 of 3 comparisons with classification alone show "
        f"a difference in test AUC that survives Holm's correction (p{NOBREAK}<{NOBREAK}0.05), 1 better and "
        "1 worse: CNN Actdiff +0.25 (+0.15 to +0.35); CNN Gradmask −0.50 (−0.60 to −0.40).",
    )


def test_long_lists_are_cut_and_counted():
    rows = [experiment(f"Method {k}", difference=0.2, p=0.01) for k in range(module.MOST_NAMED + 3)]
    assert "; and 3 more." in conclude(*rows)[0]


def test_seeds_too_few_for_any_difference_are_said_to_be():
    few = conclude(experiment("Classify", seeds=3), experiment("Actdiff", seeds=3, difference=0.9, p=0.25))
    assert "None of 1 comparison with classification alone shows a difference" in few[0]
    assert "With 3 seeds none could, however large: the smallest p that the test can give is 0.25." in few[0]
    many = conclude(experiment("Classify"), experiment("Actdiff", difference=0.01, p=0.6))
    assert "none could" not in many[0]


def test_without_a_baseline_nothing_is_compared():
    assert "None could be compared with classification alone" in conclude(experiment("Actdiff"))[0]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Correlation(0.8, (0.5, 0.9), 40, 10), "is +0.80 over 40 networks (95 % interval +0.50 to +0.90): "),
        (Correlation(0.8, (0.5, 0.9), 40, 10), "networks that look there tend to score higher"),
        (Correlation(0.2, (0.1, 0.3), 40, 10), "networks that look there weakly tend to score higher"),
        (Correlation(-0.6, (-0.8, -0.1), 40, 10), "tend to score lower"),
        (Correlation(0.3, (-0.1, 0.6), 40, 10), "do not tell whether looking there goes with scoring higher"),
        (Correlation(0.9, None, 6, 3), "too few experiments for an interval, so it may be chance"),
        (
            Correlation(None, None, 6, 3),
            "no correlation between attribution inside the mask and test AUC can",
        ),
    ],
)
def test_a_correlation_is_worded_by_its_interval_and_never_as_a_cause(monkeypatch, found, expected):
    monkeypatch.setattr(module, "network_points", lambda measured: [measured])
    monkeypatch.setattr(module, "correlation", lambda points, rng: found)
    said = conclude(experiment("Classify"))[1]
    assert said.startswith("On Liver ")
    assert expected in said
    assert said.endswith("does not say that one brings about the other.")


def test_only_surviving_differences_stand_out_in_the_table():
    rows = [experiment("Actdiff", difference=0.25, p=0.0004), experiment("Gradmask", difference=0.1, p=0.05)]
    table = difference_table("Liver", [experiment("Classify"), *rows])
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["8", "+0.25", "+0.15 to +0.35", "< 0.001", "< 0.001"],
        ["8", "+0.10", "0.00 to +0.20", "0.050", "0.050"],
    ]
    assert [row.cells[-1].strong for row in table.rows] == [True, False]
    assert difference_table("Liver", [experiment("Classify")]) is None


def test_a_run_without_a_finished_seed_has_a_row_of_dashes():
    table = score_table("Liver", [experiment("Actdiff", seeds=0)])
    assert {cell.text for cell in table.rows[0].cells[1:]} == {"–"}
    assert all(cell.key is None for cell in table.rows[0].cells[1:])
    assert "paper" not in [column.title for column in table.columns]


def test_numbers_in_words():
    assert [signed(x) for x in (0.126, -0.126, 0.0, -0.001)] == ["+0.13", "−0.13", "0.00", "0.00"]
    assert interval(None, None) == "–"
    assert [p_value(p) for p in (0.5, 0.001, 0.00099)] == ["0.500", "0.001", "< 0.001"]
    assert spread_cell(None).text == "–"
    assert [joined(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert spread_cell(Spread(1 / 3, None, 1)) == Cell(text="0.33", key="0.333333")
    assert spread_cell(Spread(12.0, 0.25, 4), digits=1).text == "12.0 ± 0.2"
