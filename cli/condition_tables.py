"""How the conditions of an audit are printed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .console import out
from .tables import print_table, result_table

if TYPE_CHECKING:
    from activmask.auditing.conditions.conditions import Conditions
    from activmask.evaluation.estimate import Estimate

    from .tables import ResultTable


def print_conditions(found: "Conditions", classes: Sequence[str]) -> None:
    """Print the table of conditions, what the masks tell by themselves, and the verdict."""
    print_condition_scores(found, classes)
    print_verdict(found)


def print_condition_scores(found: "Conditions", classes: Sequence[str]) -> None:
    """Print the table of conditions, and what the masks tell by themselves."""
    if found.reason is not None:
        out.print(f"The conditions are not available: {found.reason}.")
        return
    print_table(_table(found))
    for line in (*_baseline(found), *_participants(found, classes)):
        out.print(line)


def print_verdict(found: "Conditions") -> None:
    """Print what the conditions come to, where there are any."""
    if found.verdict is not None:
        out.print(out.render_str(f"Verdict: {found.verdict.finding}.", style="bold"))
        for sentence in found.verdict.sentences:
            out.print(sentence)


def _table(found: "Conditions") -> "ResultTable":
    who = f"{found.n} images of {found.subjects} subject{'s' * (found.subjects != 1)}"
    kind = "" if found.auc_kind == "ROC AUC" else f"; {found.auc_kind}"
    title = f"Conditions ({who}{kind})"
    columns = ("condition", "AUC", "95 %", "SD", "change", "95 %", "accuracy")
    table = result_table(title, *columns, framed=False)
    for row in found.rows:
        table.add_row(
            row.condition,
            f"{row.auc.value:.3f}",
            _between(row.auc),
            "-" if row.auc_spread is None else f"{row.auc_spread:.3f}",
            "-" if row.auc_change is None else f"{row.auc_change.value:+.2f}",
            "-" if row.auc_change is None else _between(row.auc_change, "+.2f"),
            "-" if row.accuracy is None else f"{row.accuracy.value:.3f}",
        )
    return table


def _between(one: "Estimate", form: str = ".3f") -> str:
    if one.low is None or one.high is None:
        return "-"
    # A point says nothing of the uncertainty.
    return "degenerate" if one.low == one.high else f"{one.low:{form}} to {one.high:{form}}"


def _baseline(found: "Conditions") -> list[str]:
    if found.baseline is None:
        return []
    area = found.baseline.area
    place, outline = (
        "not available" if one is None else f"{one.value:.3f} (95 % {_between(one)})"
        for one in (found.baseline.place, found.baseline.outline)
    )
    return [
        f"SD: over {found.draws} draws; blurred: sigma {found.blur_px:g} px; 95 %: bootstrap of subjects.",
        f"The masks alone, without an image: AUC of their area {area.value:.3f} (95 % {_between(area)}), of "
        f"area and place {place}, of their outlines {outline}.",
    ]


def _participants(found: "Conditions", classes: Sequence[str]) -> list[str]:
    without = sum(one.images - one.masked for one in found.mask_counts)
    if not without:
        return []
    shares = ", ".join(f"{classes[one.label]} {one.masked} of {one.images}" for one in found.mask_counts)
    if found.borrowed:
        return [
            f"Having a mask tells the class ({shares} images), so the {found.borrowed} images without one "
            "took the masks of random other images."
        ]
    return [f"The {without} images without a mask took no part (with one: {shares})."]
