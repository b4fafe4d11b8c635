"""At which share the bait is taken: by hand, and through the real program."""

from dataclasses import replace

import pytest
from chart_runs import chart_run, measured
from in_process import told
from test_planting import source

from activmask.data.planting.planting import Planting, ToldDose, others_of, shares_of, told_dose
from activmask.evaluation.evaluate import Localisation
from activmask.evaluation.removal import Change, Removal
from activmask.report.charts.dose_response import QUANTITIES, dose_response, mean_of, reach
from activmask.report.findings.dose import families, sentences
from activmask.report.tables.dose_table import dose_csv, dose_table


def change(score, value, low, high, *, twins=0.5, subjects=20):
    return Change(
        score=score,
        label=None,
        n=20,
        subjects=subjects,
        planted=twins + value,
        twins=twins,
        change=value,
        low=low,
        high=high,
    )


def network(share, value, low, high, *, family="one", auc=0.0, twins=0.8, subjects=20):
    return Removal(
        shortcut="tag",
        of_class="sick",
        number=1,
        n=40,
        carried=20,
        changes=(
            change("AUC", auc, auc - 0.1, auc + 0.1, twins=twins),
            change("probability of sick", value, low, high, subjects=subjects),
        ),
        localisation=Localisation(attribution="gradient", n=0, blank=0, rows=()),
        dose=ToldDose(share=share, other_share=round(1 - share, 6), family=family),
    )


def run_at(folder, share, *networks, **settings):
    run = chart_run(folder, auc=[0.5] * len(networks), data=f"dose/{share}", **settings)
    return replace(measured(run, inside=()), removals=dict(enumerate(networks)))


def dose_of(tmp_path, *points, **settings):
    """A run for each share and its networks' changes with their ends."""
    return families(
        [
            run_at(tmp_path / str(share), share, *(network(share, *one) for one in networks), **settings)
            for share, networks in points
        ]
    )


WIDE, CLEAR = (0.1, -0.1, 0.3), (0.3, 0.1, 0.5)


def test_the_smallest_share_at_which_every_network_reads_it(tmp_path):
    """At 0.6 one of two does, at 0.7 both do, at 0.8 one of two again: 0.7, and what is not so is told."""
    (family,) = dose_of(
        tmp_path,
        (0.8, [CLEAR, WIDE]),
        (0.5, [WIDE, WIDE]),
        (0.6, [WIDE, CLEAR]),
        (0.7, [CLEAR, CLEAR]),
    )
    assert family.shares == [0.5, 0.6, 0.7, 0.8]
    (said,) = sentences(family)
    assert said == (
        "CNN Classify: 0.7 is the smallest of the shares that were tried (0.5, 0.6, 0.7 and 0.8) at which "
        "the tag is read as a sign of sick: in each of 2 networks it changes the probability by 0.01 or "
        "more, with a 95 % interval that leaves 0 out, but not at 0.8; some do elsewhere: 1 of 2 at 0.6 and "
        "1 of 2 at 0.8."
    )


def test_a_change_of_next_to_nothing_is_none_however_narrow_its_interval(tmp_path):
    trifle, least = (0.0099, 0.0098, 0.01), (0.01, 0.009, 0.011)
    (family,) = dose_of(tmp_path, (0.7, [CLEAR, trifle]), (0.8, [CLEAR, least]))
    assert [point.taken for point in family.lines[0].points] == [False, True]


def test_none_is_claimed_where_no_interval_carries_it(tmp_path):
    (family,) = dose_of(tmp_path, (0.6, [WIDE]), (0.9, [WIDE]))
    assert sentences(family)[0].startswith(
        "CNN Classify: at none of the shares that were tried (0.6 and 0.9)"
    )


def test_at_a_share_that_tells_nothing_no_change_is_a_sign(tmp_path):
    (family,) = dose_of(tmp_path, (0.5, [CLEAR]), (0.9, [CLEAR]))
    assert [point.taken for point in family.lines[0].points] == [False, True]


def test_a_sign_of_the_other_classes_lowers_the_probability(tmp_path):
    falls = (-0.3, -0.5, -0.1)
    (family,) = dose_of(tmp_path, (0.2, [falls]), (0.8, [falls]))
    assert [point.taken for point in family.lines[0].points] == [True, False]


def test_few_subjects_tell_nothing(tmp_path):
    runs = [run_at(tmp_path / str(share), share, network(share, *CLEAR, subjects=7)) for share in (0.5, 0.9)]
    (family,) = families(runs)
    assert "fewer than 8 subjects" in sentences(family)[0]


def test_points_and_bars_are_those_of_the_networks(tmp_path):
    (family,) = dose_of(tmp_path, (0.5, [WIDE, WIDE]), (0.9, [CLEAR, (0.5, 0.3, 0.7)]))
    probability, auc, twins = QUANTITIES
    last = family.lines[0].points[1]
    assert mean_of(last, probability).mean == pytest.approx(0.4)
    assert reach(last, probability) == (0.1, 0.7)
    assert mean_of(last, auc).mean == 0
    assert mean_of(last, twins).mean == pytest.approx(0.8)
    assert reach(last, twins) is None
    chart = dose_response(family)
    drawn = chart.figure.axes[0].lines[1]
    assert list(drawn.get_xdata()) == [0.5, 0.9]
    assert list(drawn.get_ydata()) == pytest.approx([0.1, 0.4])
    assert "+0.10 at 0.5, +0.40 at 0.9" in chart.alt


def test_the_table_has_a_row_for_each_share_and_the_file_a_line_for_each_score(tmp_path):
    (family,) = dose_of(tmp_path, (0.5, [WIDE, WIDE]), (0.9, [CLEAR, CLEAR]))
    rows = dose_table(family).rows
    assert [cell.text for cell in rows[1].cells] == [
        "0.9",
        "0.1",
        "2",
        "+0.30 ± 0.00",
        "0.00 ± 0.00",
        "0.80 ± 0.00",
        "2 of 2",
    ]
    assert rows[1].cells[3].details == ("+0.10 to +0.50",)
    assert len(dose_csv(family).decode().splitlines()) == 1 + 2 * 2 * 2


def test_other_families_and_other_settings_stay_apart(tmp_path):
    """Another test set is another family, and with one share alone there is no dose."""
    one = run_at(tmp_path / "a", 0.5, network(0.5, *WIDE))
    other = run_at(tmp_path / "b", 0.9, network(0.9, *CLEAR, family="other"))
    assert families([one, other]) == []
    wider = run_at(tmp_path / "c", 0.9, network(0.9, *CLEAR), actdiff=1.0)
    (family,) = families([one, wider])
    assert [line.name for line in family.lines] == ["CNN Classify", "CNN Actdiff"]
    assert families([replace(one, removals={})]) == []


def card(**changes):
    asked = Planting(**{"shortcut": "tag", "of_class": "1", "share": 0.6, "test_share": 0.5, **changes})
    return {
        "planted": {
            "shortcut": asked.shortcut,
            "class_name": "sick",
            "shares": shares_of(asked),
            "other_share": asked.other_share,
            "other_shares": others_of(asked),
            "counts": [changes],
            "source_sha256": "abc",
        }
    }


def test_one_set_planted_at_other_shares_is_one_family():
    first = told_dose(card())
    assert (first.share, first.other_share) == (0.6, 0.4)
    assert told_dose(card(share=0.9, valid_share=0.9)).family == first.family
    for changes in ({"test_share": 0.6}, {"shortcut": "text"}, {"other_share": 0.4}):
        assert told_dose(card(**changes)).family != first.family


@pytest.mark.parametrize("wrong", [{}, {"planted": 3}, {"planted": {"shares": 1, "other_shares": 2}}])
def test_a_card_that_tells_no_dose_has_none(wrong):
    assert told_dose(wrong) is None


@pytest.mark.process
@pytest.mark.usefixtures("inline_sweeps")
def test_a_sweep_over_shares_becomes_a_chart(tmp_path):
    source(tmp_path / "clean", n=60)
    for share in (0.5, 0.9):
        words = ("--share", share, "--valid-share", share, "--test-share", 0.5, "--out", f"dose/{share}")
        told("plant", "clean", "--shortcut", "tag", "--class", "dog", *words, cwd=tmp_path)
    (tmp_path / "dose.toml").write_text(
        "[base]\nmodel = 'cnn'\nwidth = 4\nepochs = 1\nbatch_size = 10\nsplit_policy = 'given'\n"
        "[axes.share]\n'0.5' = { data = 'dose/0.5' }\n'0.9' = { data = 'dose/0.9' }\n"
    )
    told("sweep", "dose.toml", "--seeds", 3, "--out", "runs", "--device", "cpu", cwd=tmp_path)
    told("report", "runs", "--out", "report", "--device", "cpu", cwd=tmp_path)
    page = (tmp_path / "report/index.html").read_text()
    assert "At which share is a planted shortcut read?" in page
    assert "(0.5 and 0.9)" in page
    assert (tmp_path / "report/figures/dose-response-tag-in-dog.svg").exists()
    lines = (tmp_path / "report/tables/dose-response-tag-in-dog.csv").read_text().splitlines()
    assert {line.split(",")[1] for line in lines[1:]} == {"0.5", "0.9"}
