"""What a search came to: ends, rivals, chance, and the winner's file on its way through grids and tables."""

import json

import pytest
from scripted_search import plan_of
from summary_runs import write_run

from activmask.experiments.cells import grid_cells
from activmask.experiments.grid import read_grid
from activmask.experiments.jobs import make_jobs
from activmask.ground.errors import CheckpointError, ConfigError, UsageError
from activmask.report.findings.summary import summarise
from activmask.runs.departures import departures_from
from activmask.runs.making import make_config
from activmask.runs.results import find_runs
from activmask.runs.searched import Searched, searched_to_json
from activmask.runs.toml_file import read_config, read_told
from activmask.tuning.outcome import at_ends, best_of, chance_of, fresh_seeds, rivals_of, write_winner
from activmask.tuning.space import parse_over
from activmask.tuning.trial import Trial


def trial_of(plan, number, scores, **values):
    return Trial(
        number=number,
        values=values,
        config=plan.config(values),
        folder=plan.folder / f"trial-{number}",
        status="done",
        scores=dict(enumerate(scores)),
    )


@pytest.mark.parametrize(
    ("over", "value", "told"),
    [
        # By the logarithm 5e-3 lies at (log 5e-3 + 5) / 3 = 0.90, 9e-3 at 0.985, 1.3e-5 at 0.038.
        ("lr=1e-5..1e-2:log", 5e-3, ""),
        ("lr=1e-5..1e-2:log", 9e-3, "lr: the best, 0.009, lies at the upper end of 1e-05..0.01:log"),
        ("lr=1e-5..1e-2:log", 1.3e-5, "lies at the lower end"),
        # Evenly 0.06 lies at 0.06, where by the logarithm it would lie near the top.
        ("actdiff=0.0..1.0", 0.06, ""),
        ("actdiff=0.0..1.0", 0.04, "it allows no further value"),
        ("actdiff=0.0..1.0", 0.96, "search a range that goes further up, with the other arms likewise"),
        ("width=2..4", 3, ""),
        ("width=2..4", 4, "width: the best, 4, lies at the upper end of 2..4"),
        ("width=2..1000", 2, "lies at the lower end of 2..1000"),
        ("batch_size=16|32", 32, ""),
    ],
)
def test_a_best_at_an_end_is_told(tmp_path, over, value, told):
    plan = plan_of(tmp_path, over)
    best = trial_of(plan, 0, [0.5], **{parse_over([over])[0].name: value})
    found = list(at_ends(best, plan.over))
    assert len(found) == bool(told)
    assert told in "".join(found)


def test_ties_rivals_and_chance(tmp_path):
    plan = plan_of(tmp_path, "lr=1e-4..1:log")
    # The best's SD is 0.1, its standard error 0.1 / sqrt(3) = 0.058.
    scores = [[0.7, 0.7, 0.7], [0.7, 0.8, 0.9], [0.9, 0.8, 0.7], [0.75, 0.75, 0.75], [0.74, 0.74, 0.74]]
    trials = [trial_of(plan, n, values, lr=0.1 / (n + 1)) for n, values in enumerate(scores)]
    best = best_of(trials, "accuracy")
    assert best.number == 1
    assert [one.number for one in rivals_of(best, trials, "accuracy")] == [2, 3]
    assert best_of(trials, "loss").number == 0
    assert rivals_of(trial_of(plan, 9, [0.5], lr=0.1), trials, "accuracy") == []
    assert chance_of(best, "auc", "valid") == 0.5
    assert chance_of(best, "loss", "valid") is None
    for seed, labels in enumerate(["0001", "0011", "0111"]):
        folder = best.folder / f"seed-{seed}"
        folder.mkdir(parents=True)
        splits = ["valid"] * 4 + ["test"]
        both = enumerate(zip(splits, f"{labels}1", strict=True))
        rows = [f"{n},s{n},{split},,{label},{'0' * 64}," for n, (split, label) in both]
        (folder / "splits.csv").write_text(
            "\n".join(["file,subject,split,site,label,image_sha256,mask_sha256", *rows, ""])
        )
    assert chance_of(best, "accuracy", "valid_iid") is None
    assert chance_of(best, "accuracy", "valid") == pytest.approx((0.75 + 0.5 + 0.75) / 3)


@pytest.fixture
def winner(tmp_path):
    plan = plan_of(tmp_path, "lr=1e-4..1:log,actdiff=0.1..10", trials=7)
    return write_winner(plan, trial_of(plan, 3, [0.9], lr=0.0123456789012345, actdiff=1 / 3))


def test_the_winners_file_is_its_run_and_says_what_chose_it(winner):
    told = read_told(winner)
    assert make_config(**told.settings)["lr"] == 0.0123456789012345
    assert make_config(**told.settings)["actdiff"] == 1 / 3
    assert told.seeds == (3, 4, 5) == fresh_seeds((0, 1, 2))
    assert told.searched == Searched(
        over={"lr": "0.0001..1.0:log", "actdiff": "0.1..10.0"},
        trials=7,
        seeds="0-2",
        epochs=8,
        prune="none",
        select="accuracy",
        select_on="valid",
        sampler="tpe",
        trial=3,
        winner=True,
    )
    assert read_config(winner) == (told.settings, told.seeds)
    longer = make_config(**{**told.settings, "epochs": 99, "data": "elsewhere", "threads": 3})
    assert departures_from(told.settings, longer) == ()
    assert departures_from(told.settings, make_config(**{**told.settings, "lr": 0.5})) == ("lr",)
    # What the file leaves unsaid departs as well.
    assert departures_from(told.settings, make_config(**{**told.settings, "ema": 0.9})) == ("ema",)
    winner.write_text(winner.read_text().replace("trials = 7", "trials = 0"))
    with pytest.raises(ConfigError, match=r"\[searched\] is not what search wrote"):
        read_config(winner)


def test_a_grid_takes_winners_and_what_it_says_itself_wins(winner, tmp_path):
    path = tmp_path / "own.toml"
    text = f"""
[base]
data = "crosses"
epochs = 2
[axes.method]
"Tuned" = {{ config = "{winner}" }}
"Wider" = {{ config = "{winner}", width = 4 }}
"Plain" = {{ model = "cnn", width = 8 }}
"""
    path.write_text(text)
    tuned, wider, plain = grid_cells(read_grid(str(path)))
    assert (tuned.config["lr"], tuned.config["data"], tuned.config["epochs"]) == (
        0.0123456789012345,
        "crosses",
        2,
    )
    assert (tuned.searched, tuned.departures) == (read_told(winner).searched, ())
    assert (wider.searched, wider.departures) == (None, ("width",))
    assert (plain.searched, plain.departures, plain.config["actdiff"]) == (None, (), 0)
    assert [job.searched for job in make_jobs([tuned, wider], (0,), tmp_path)] == [tuned.searched, None]
    [changed] = grid_cells(read_grid(str(path)), keep={"method": ["Tuned"]}, settings={"lr": 0.5})
    assert (changed.searched, changed.departures, changed.config["lr"]) == (None, ("lr",), 0.5)
    path.write_text(f'{text}[axes.other]\n"a" = {{ config = "{winner}" }}\n')
    with pytest.raises(UsageError, match="the axes method and other both give config"):
        grid_cells(read_grid(str(path)))


LR = {"lr": "1e-05..0.01:log"}
BOTH = {**LR, "actdiff": "0.1..10.0:log"}
SEARCH = Searched(
    over=LR,
    trials=20,
    seeds="0-2",
    epochs=5,
    prune="none",
    select="auc",
    select_on="valid",
    sampler="tpe",
    trial=0,
    winner=True,
)


def searched_run(folder, test_auc, searched, **settings):
    """A made-up run that a search chose."""
    write_run(folder, test_auc, **settings)
    for path in folder.glob("*/run.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), **searched_to_json(searched)}))


def arms(folder, method=None, classify=None, lr=0.007):
    """Actdiff and classification alone at learning rates of their own, on seeds that no search saw."""
    aucs = {3: 0.6, 4: 0.7, 5: 0.8}
    method = Searched(**{**vars(SEARCH), "over": BOTH, **(method or {})})
    searched_run(folder / "actdiff", aucs, method, actdiff=1.5, lr=0.002)
    classify = None if classify is None else Searched(**{**vars(SEARCH), **classify})
    searched_run(folder / "classify", aucs, classify, lr=lr)
    return summarise(find_runs([folder]))


def test_winners_of_equal_budgets_are_compared_though_their_searched_settings_differ(tmp_path):
    summary = arms(tmp_path, classify={})
    [row] = summary.compared
    assert row.run.config["actdiff"] == 1.5
    assert row.comparison.baseline.config["lr"] == 0.007
    assert row.comparison.difference.n == 3
    notes = "\n".join(summary.notes)
    assert (
        "in 20 trials (tpe) of 3 seeds and 5 epochs, by auc: CNN Classify (over lr 1e-05..0.01:log), "
        in notes
    )
    assert "budgets differ" not in notes
    assert "optimistic; other seeds" not in notes


@pytest.mark.parametrize(
    ("method", "why"),
    [
        (
            {"trials": 50},
            "50 trials (tpe) of 3 seeds and 5 epochs, by auc against 20 trials (tpe) of 3 seeds",
        ),
        ({"seeds": "0-1"}, "of 2 seeds and 5 epochs, by auc against"),
        ({"epochs": 9}, "and 9 epochs, by auc against"),
        ({"prune": "seeds"}, "by auc, pruned by seeds against"),
        ({"select": "accuracy"}, "by accuracy against"),
        ({"select_on": "valid_iid"}, "by auc on valid_iid against"),
        ({"sampler": "random"}, "20 trials (random) of"),
        ({"over": {**BOTH, "lr": "1e-06..1.0:log"}}, "lr over 1e-06..1.0:log against 1e-05..0.01:log"),
    ],
)
def test_unequal_budgets_are_told_and_not_compared(tmp_path, method, why):
    summary = arms(tmp_path, method=method, classify={})
    assert summary.compared == []
    [told] = [note for note in summary.notes if note.startswith("Not compared, as their budgets differ")]
    assert "CNN Actdiff" in told
    assert why in told
    assert not any("for want of classification alone" in note for note in summary.notes)


def test_a_tuned_method_is_not_compared_with_an_untuned_baseline(tmp_path):
    summary = arms(tmp_path, lr=0.002)
    assert summary.compared == []
    notes = "\n".join(summary.notes)
    assert (
        "CNN Actdiff and CNN Classify (20 trials (tpe) of 3 seeds and 5 epochs, by auc against no search)"
        in notes
    )
    assert "Not searched for: CNN Classify" in notes


def test_other_settings_than_the_searched_ones_must_agree(tmp_path):
    aucs = {3: 0.6, 4: 0.7, 5: 0.8}
    searched_run(tmp_path / "1", aucs, Searched(**{**vars(SEARCH), "over": BOTH}), actdiff=1.5, lr=0.002)
    searched_run(tmp_path / "2", aucs, SEARCH, lr=0.007, batch_size=16)
    summary = summarise(find_runs([tmp_path]))
    assert summary.compared == []
    assert any("for want of classification alone" in note for note in summary.notes)


def test_trials_are_compared_with_nothing_and_seeds_of_the_search_are_told(tmp_path):
    summary = arms(tmp_path, method={"winner": False}, classify={"winner": False}, lr=0.002)
    assert summary.compared == []
    assert any(note.startswith("2 rows are trials of a search") for note in summary.notes)
    again = arms(tmp_path / "again", method={"seeds": "3-5"}, classify={"seeds": "3-5"})
    assert len(again.compared) == 1
    assert any("are scored on seeds that the search chose by, too" in note for note in again.notes)


def test_a_damaged_entry_of_a_run_is_told(tmp_path):
    write_run(tmp_path / "run", {0: 0.5})
    path = tmp_path / "run" / "seed-0" / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "searched": {"trials": 3}}))
    with pytest.raises(CheckpointError, match="its 'searched' is a dict"):
        find_runs([tmp_path])
