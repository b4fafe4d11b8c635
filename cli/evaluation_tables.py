"""The tables that `activmask evaluate` prints."""

from collections.abc import Sequence

from activmask.data.recipe import called
from activmask.evaluation.across_seeds import RunSpread, across_seeds
from activmask.evaluation.audit import MASK_AREA, Audit
from activmask.evaluation.evaluate import Localisation
from activmask.evaluation.evaluated import Evaluated
from activmask.evaluation.removal import Removal, change_name
from activmask.evaluation.scores import Interval
from activmask.runs.seed_folders import Unreadable

from .console import out
from .group_tables import print_groups
from .score_cells import checkpoint_name, number, run_name, spread_text
from .tables import ResultTable, print_table, result_table


def print_tables(evaluated: Sequence[Evaluated], unreadable: Sequence[Unreadable] = ()) -> None:
    """Print scores, sites, the audit with its verdicts, where networks look, what a shortcut adds."""
    spreads = across_seeds(evaluated, unreadable)
    print_table(_scores(evaluated, spreads))
    _print_choices(evaluated)
    for positive, negative in dict.fromkeys(
        (one.class_names[1], one.class_names[0]) for one in evaluated if len(one.class_names) == 2
    ):
        out.print(f"An AUC above 0.5 ranks {positive!r} (class 1) above {negative!r} (class 0).")
    if any(one.evaluation.sites for one in evaluated):
        print_table(_sites(evaluated))
    print_groups(evaluated, spreads)
    if any(one.evaluation.audit.rows for one in evaluated):
        print_table(_audit(evaluated, spreads))
    _print_verdicts(evaluated)
    for one in evaluated:
        if one.evaluation.localisation.rows:
            print_table(_localisation(one, one.evaluation.localisation))
    for row in spreads:
        if row.localisation:
            print_table(_localisation_of_run(row))
    _print_removals(evaluated, spreads)


def _print_choices(evaluated: Sequence[Evaluated]) -> None:
    """By what the best epochs were chosen, kind of checkpoint by kind."""
    kinds = dict.fromkeys((one.path.stem, one.chosen_by) for one in evaluated if one.chosen_by)
    for kind, by in kinds:
        out.print(f"The epochs of {kind}.safetensors were chosen by {by}.")


def _scores(evaluated: Sequence[Evaluated], spreads: Sequence[RunSpread]) -> ResultTable:
    kinds = sorted({one.evaluation.scores.auc_kind for one in evaluated})
    methods = sorted({i.method for one in evaluated if (i := one.evaluation.scores.interval)})
    interval = f"95 % ({', '.join(methods)})" if methods else "95 %"
    splits = ", ".join(sorted({f"{one.split} split of {called(one.data)}" for one in evaluated}))
    table = result_table(f"Scores, {splits}", "checkpoint", "n", " / ".join(kinds), interval, "accuracy")
    for one in evaluated:
        scores = one.evaluation.scores
        area = scores.reason or number(scores.auc)
        table.add_row(
            checkpoint_name(one), str(scores.n), area, between(scores.interval), number(scores.accuracy)
        )
    for row in spreads:
        table.add_row(run_name(row), "", spread_text(row.auc), "", spread_text(row.accuracy))
    return table


def between(interval: Interval | None) -> str:
    """An interval's ends."""
    return "-" if interval is None else _ends_of(interval.low, interval.high)


def _ends_of(low: float | None, high: float | None) -> str:
    """The ends of an interval, which may be none."""
    if low is None or high is None:
        return "-"
    return "degenerate" if low == high else f"{low:.3f} to {high:.3f}"


def _sites(evaluated: Sequence[Evaluated]) -> ResultTable:
    table = result_table("By site", "checkpoint", "site", "n", "AUC", "95 %", "accuracy", names=2)
    for one in evaluated:
        for site in one.evaluation.sites:
            cells = (str(site.n), number(site.auc), between(site.interval), number(site.accuracy))
            table.add_row(checkpoint_name(one), site.site, *cells)
    return table


def _audit(evaluated: Sequence[Evaluated], spreads: Sequence[RunSpread]) -> ResultTable:
    table = result_table("Shortcut audit", "checkpoint", "images", "n", "AUC", "95 %", "accuracy", names=2)
    for one in evaluated:
        audit = one.evaluation.audit
        for row in audit.rows:
            ends = _ends_of(row.low, row.high)
            cells = (row.images, str(audit.n), number(row.auc), ends, number(row.accuracy))
            table.add_row(checkpoint_name(one), *cells)
        if audit.mask_area_auc is not None:
            ends = _ends_of(audit.mask_area_low, audit.mask_area_high)
            cells = (MASK_AREA, str(audit.n), number(audit.mask_area_auc), ends, "-")
            table.add_row(checkpoint_name(one), *cells)
    for run in spreads:
        for images, area in run.audit.items():
            table.add_row(run_name(run), images, "", spread_text(area), "", "")
    return table


def _print_verdicts(evaluated: Sequence[Evaluated]) -> None:
    for one in evaluated:
        audit = one.evaluation.audit
        if audit.verdict is None:
            sentences = f"The shortcut audit is not available: {audit.reason}."
        else:
            sentences = " ".join([*audit.verdict.sentences, *_borrowing(audit)])
        sentences = " ".join([sentences, *one.mask_notes])
        out.print(out.render_str(f"{checkpoint_name(one)}:", style="bold"), sentences)


def _borrowing(audit: Audit) -> list[str]:
    without = sum(count.images - count.masked for count in audit.mask_counts)
    if not without:
        return []
    shares = ", ".join(f"class {each.label} {each.masked} of {each.images}" for each in audit.mask_counts)
    if audit.borrowed:
        return [
            f"Having a mask tells the class ({shares} images), so the {audit.borrowed} images without one "
            "were shuffled by the masks of random other images."
        ]
    return [f"The {without} images without a mask took no part (with one: {shares})."]


def _print_removals(evaluated: Sequence[Evaluated], spreads: Sequence[RunSpread]) -> None:
    for one in evaluated:
        if one.removal is None:
            continue
        print_table(_removal(one, one.removal))
        if one.removal.localisation.rows:
            where = f", measured in the mask of the {one.removal.shortcut}"
            print_table(_localisation(one, one.removal.localisation, where))
    for row in spreads:
        if row.removal:
            print_table(_removal_of_run(row))


def _removal(one: Evaluated, removal: Removal) -> ResultTable:
    title = (
        f"What the {removal.shortcut} adds: {checkpoint_name(one)} ({removal.carried} of {removal.n} images "
        "carry it; 95 % by bootstrap of subjects)"
    )
    table = result_table(title, "score", "n", "planted", "twins", "planted - twins", "95 %")
    for row in removal.changes:
        interval = "-" if row.low is None or row.high is None else f"{row.low:+.3f} to {row.high:+.3f}"
        cells = (number(row.planted), number(row.twins), f"{row.change:+.3f}", interval)
        table.add_row(change_name(row), str(row.n), *cells)
    return table


def _removal_of_run(row: RunSpread) -> ResultTable:
    table = result_table(f"What the shortcut adds: {run_name(row)}", "score", "planted - twins")
    for name, value in row.removal.items():
        table.add_row(name, f"{value.mean:+.3f} ± {number(value.sd)}")
    return table


def _localisation(one: Evaluated, localisation: Localisation, where: str = "") -> ResultTable:
    title = f"Where {checkpoint_name(one)} looks{where} ({localisation.attribution}; {localisation.n} images)"
    table = result_table(title, "metric", "mean ± SD", "by chance")
    for row in localisation.rows:
        table.add_row(row.metric, f"{row.mean:.3f} ± {number(row.sd)}", number(row.chance))
    return table


def _localisation_of_run(row: RunSpread) -> ResultTable:
    table = result_table(f"Where {run_name(row)} look", "metric", "mean ± SD", "by chance")
    for metric, value in row.localisation.items():
        table.add_row(metric, spread_text(value), number(row.chance[metric]))
    return table
