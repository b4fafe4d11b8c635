"""How an audit is printed: the verdict in words, then its numbers."""

from typing import TYPE_CHECKING

from .compact_tables import compact_table
from .condition_tables import print_condition_scores, print_verdict
from .console import out
from .tables import print_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from activmask.auditing.audited import Audited
    from activmask.report.tables.table import Table


def print_audit(audited: "Audited") -> None:
    """Print an audit; of several labels one after the other."""
    material = audited.material
    if audited.labels:
        _print_preparing(audited)
        for one in audited.labels:
            print_audit(one)
        if audited.mean is not None:
            out.print()
            out.print(audited.mean.in_words)
        return
    split = "all images" if audited.split == "all" else f"the {audited.split} split"
    about = f"{material.label}: " if material.label else ""
    people = len(set(material.samples.subjects))
    out.print(
        out.render_str(about + audited.predictor.name, style="bold"),
        f"on {split} of {material.source}: {len(material)} images of {people} subject{'s' * (people != 1)}",
    )
    if not material.label:
        _print_preparing(audited)
    _print_parts(audited)


def _print_preparing(audited: "Audited") -> None:
    out.print(f"Images were shown to the model {audited.as_seen}.")


def _print_parts(audited: "Audited") -> None:
    from activmask.auditing.page.tables import (
        answers_table,
        confusion_table,
        groups_table,
        leaks_table,
        looks_table,
        shortcut_looks_table,
        shortcut_table,
        trust_table,
    )

    scores, leaks, clinic = audited.conditions, audited.leaks, audited.clinic
    if scores is not None:
        print_verdict(scores)
        out.print()
        print_condition_scores(scores, audited.material.class_names)
    if audited.shortcut is not None:
        _print(shortcut_table(audited.shortcut), audited.shortcut.sentences)
        looks_on_it = shortcut_looks_table(audited.shortcut)
        if looks_on_it is not None:
            _print(looks_on_it)
    if audited.looks is not None:
        inside = looks_table(audited.looks)
        if inside.rows:
            _print(inside)
        _print(trust_table(audited.looks), audited.looks.sentences())
    if leaks is not None:
        _print(leaks_table(leaks), leaks.sentences())
    if clinic is not None:
        _print(answers_table(clinic))
        confusion = confusion_table(clinic)
        if confusion is not None:
            _print(confusion)
        for number, column in enumerate(clinic.columns, 1):
            _print(groups_table(column, number))


def _print(table: "Table", sentences: "Iterable[str]" = ()) -> None:
    out.print()
    print_table(compact_table(table))
    for line in (*table.notes, *sentences):
        out.print(line)
