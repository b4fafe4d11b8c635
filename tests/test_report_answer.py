"""What the report concludes from given numbers, and what it declines to conclude."""

from dataclasses import replace
from pathlib import Path

import pytest
from chart_runs import chart_run, measured

from activmask.evaluation.paired import Difference
from activmask.evaluation.spread import Spread
from activmask.ground.listed import listed
from activmask.report.charts.reliance import auc_against_attribution
from activmask.report.findings import answer as module
from activmask.report.findings.answer import answer
from activmask.report.findings.baselines import Comparison
from activmask.report.findings.experiment import Beside, Experiment
from activmask.report.findings.measure import Measured
from activmask.report.findings.reliance import Correlation
from activmask.report.findings.summary import Summary
from activmask.report.findings.words import interval, p_value, signed
from activmask.report.tables.experiment_cells import spread_cell
from activmask.report.tables.experiment_tables import difference_table, score_table
from activmask.report.tables.table import Cell
from activmask.runs.making import make_config
from activmask.runs.results import Run

NOBREAK = "\N{NO-BREAK SPACE}"


def experiment(
    method: str, *, seeds: int = 8, difference: float | None = None, p: float = 1.0, family: int = 3
) -> Experiment:
    metrics = {seed: {} for seed in range(seeds)}
    run = Run(folder=Path("runs") / method, config=make_config(model="cnn"), metrics=metrics)
    comparison = None
    if difference is not None:
        low, high = difference - 0.1, difference + 0.1
        found = Difference(mean=difference, low=low, high=high, p=p, n=seeds)
        comparison = Comparison(baseline=run, difference=found, adjusted_p=p, family=family)
    return Experiment(
        run=run,
        data="Liver",
        model="CNN",
        method=method,
        distinction="",
        scores={split: {"auc": None, "accuracy": None} for split in ("train", "valid", "test")},
        last={split: {"auc": None, "accuracy": None} for split in ("train", "valid", "test")},
        best_epoch=None,
        source="",
        paper={},
        beside=(),
        departures={},
        comparison=comparison,
    )


def conclude(*rows: Experiment) -> tuple[str, ...]:
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
    few = conclude(experiment("Actdiff", seeds=3, difference=0.9, p=0.25, family=1))
    assert "None of 1 comparison with classification alone shows a difference" in few[0]
    assert few[0].endswith(
        "On Liver none could, however large: with 3 seeds the smallest p that the test can give is 0.25. "
        "More seeds would tell."
    )
    many = conclude(experiment("Classify"), experiment("Actdiff", difference=0.01, p=0.6))
    assert "none could" not in many[0]


def test_the_smallest_p_is_said_with_what_the_correction_makes_of_it():
    six = experiment("Actdiff", seeds=6, difference=0.9, p=0.06, family=2)
    five = experiment("Gradmask", seeds=5, difference=0.9, p=0.06, family=2)
    assert (
        "with at most 6 seeds the smallest p that the test can give is 0.031, which the correction for 2 "
        "comparisons makes 0.062." in conclude(six, five)[0]
    )


def test_data_sets_with_too_few_seeds_are_told_from_those_with_survivors():
    found = experiment("Actdiff", difference=0.5, p=0.008, family=1)
    few = [
        replace(experiment("Actdiff", seeds=2, difference=0.5, p=0.5, family=1), data=data)
        for data in ("Cardiac", "Pancreas")
    ]
    said = conclude(found, *few)[0]
    assert "1 of 3 comparisons with classification alone shows a difference" in said
    assert "On Cardiac and Pancreas none could, however large: with 2 seeds" in said
    assert "On Liver none" not in said


def test_a_comparison_that_rows_share_counts_once():
    one = experiment("Actdiff", difference=0.25, p=0.03)
    twin = replace(one, distinction="in b")
    assert "1 of 1 comparison with classification alone shows" in conclude(one, twin)[0]


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
        (
            Correlation(None, None, 2, 2),
            "it takes 3 networks, and only 2 could be measured on the same images",
        ),
        (Correlation(None, None, 6, 3), "as one of them does not vary over 6 networks"),
        (Correlation(0.9, None, 6, 3), "too few experiments for an interval, so it may be chance"),
        (
            Correlation(None, None, 6, 3),
            "no correlation between attribution inside the mask and test AUC can",
        ),
    ],
)
def test_a_correlation_is_worded_by_its_interval_and_never_as_a_cause(monkeypatch, found, expected):
    monkeypatch.setattr(module, "comparable_points", lambda measured: (measured, ""))
    monkeypatch.setattr(module, "correlation", lambda points, rng: found)
    said = conclude(experiment("Classify"))[1]
    assert said.startswith("On Liver ")
    assert expected in said
    assert said.endswith("does not say that one brings about the other.")


def test_repeated_networks_count_once_as_in_the_chart(tmp_path):
    runs = [chart_run(tmp_path / place, auc=(0.1, 0.2, 0.3)) for place in ("a", "b")]
    some = [measured(run, inside=(0.3, 0.1, 0.2)) for run in runs]
    rows = tuple(replace(experiment("Classify"), run=run) for run in runs)
    said = answer(Summary(rows=rows, notes=()), some)[1]
    assert "is −0.50 over 3 networks" in said
    assert "-0.50 (3 networks of 1 run" in auc_against_attribution(some).caption


def test_only_surviving_differences_stand_out_in_the_table():
    rows = [experiment("Actdiff", difference=0.25, p=0.0004), experiment("Gradmask", difference=0.1, p=0.05)]
    table = difference_table("Liver", [experiment("Classify"), *rows])
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["8", "+0.25", "+0.15 to +0.35", "0.0004", "0.0004"],
        ["8", "+0.10", "0.00 to +0.20", "0.05", "0.05"],
    ]
    assert [row.cells[-1].strong for row in table.rows] == [True, False]
    assert difference_table("Liver", [experiment("Classify")]) is None


def test_a_run_without_a_finished_seed_has_a_row_of_dashes():
    table = score_table("Liver", [experiment("Actdiff", seeds=0)])
    assert {cell.text for cell in table.rows[0].cells[1:]} == {""}
    assert all(cell.key is None for cell in table.rows[0].cells[1:])
    assert "paper" not in [column.title for column in table.columns]


def test_a_distance_without_printed_sd_is_marked():
    scores = {split: {"auc": Spread(0.5, None, 1), "accuracy": None} for split in ("train", "valid", "test")}
    gaps = [("train", None), ("test", 1.5)]
    beside = tuple(
        Beside(measure=name, epoch="best", ours="auc", difference=-0.25, sds=sds) for name, sds in gaps
    )
    one = replace(experiment("Classify"), scores=scores, beside=beside)
    details = [cell.details for cell in score_table("Liver", [one]).rows[0].cells if cell.details]
    assert details == [("Δ−0.25",), ("+1.5 SD",)]


def test_numbers_in_words():
    assert [signed(x) for x in (0.126, -0.126, 0.0, -0.001)] == ["+0.13", "−0.13", "0.00", "0.00"]
    assert (interval(None, None), interval(-0.1, 0.3)) == ("", "−0.10 to +0.30")
    assert [p_value(p) for p in (0.5, 0.001, 2 / 2**10)] == ["0.5", "0.001", "0.00195"]
    assert spread_cell(None).text == ""
    assert [listed(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert spread_cell(Spread(1 / 3, None, 1)) == Cell(text="0.33", key="0.333333")
    assert spread_cell(Spread(12.0, 0.25, 4), digits=1).text == "12.0 ± 0.2"
