"""What makes two descriptions one experiment."""

from dataclasses import replace
from typing import Literal, get_args, get_origin

import pytest

from activmask.ground.settings import declared
from activmask.runs.description import Machine, RunConfig, all_settings, changed
from activmask.runs.identity import OF_NO_EXPERIMENT, alike, alike_elsewhere, changed_settings


def other_value(name: str):
    known = all_settings()[name]
    if get_origin(known.kind) is Literal:
        return next(choice for choice in get_args(known.kind) if choice != known.default)
    return not known.default if known.kind is bool else known.default + known.kind(1)


@pytest.mark.parametrize("name", all_settings())
def test_everything_but_the_machine_makes_another_experiment(name):
    one, other = RunConfig(), changed(RunConfig(), **{name: other_value(name)})
    assert one != other
    # Groups by themselves are merely scored.
    assert alike(one, other) == (name in declared(Machine) or name in {"duplicates", "groups"})
    assert (name in OF_NO_EXPERIMENT) == (alike(one, other) and name != "groups")
    assert alike_elsewhere(one, other) == (alike(one, other) or name == "data")
    assert changed_settings(one, other) == ([] if alike(one, other) or name == "epochs" else [name])


def test_runs_of_two_places_and_two_methods_are_no_one_experiment():
    one = RunConfig()
    other = replace(changed(one, actdiff=1.0), source=replace(one.source, data="elsewhere"))
    assert not alike_elsewhere(one, other)


def test_a_setting_that_is_none_is_not_left_unchanged_in_silence():
    with pytest.raises(AssertionError, match="machine"):
        changed(RunConfig(), machine=Machine())
