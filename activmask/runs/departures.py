"""In what a run departs from what a search chose, so that it is no longer its choice."""

from collections.abc import Mapping
from typing import Any

from activmask.data.settings import Source
from activmask.ground.settings import declared
from activmask.runs.description import RunConfig, flat
from activmask.runs.identity import OF_NO_EXPERIMENT
from activmask.runs.making import make_config

_FREE = {"epochs", "select", *OF_NO_EXPERIMENT, *declared(Source)}
"""Settings in which a run may differ from the winner and still be the search's choice."""


def departures_from(chosen: Mapping[str, Any], config: RunConfig) -> tuple[str, ...]:
    """The settings in which a run is not what a search chose; data, epochs and machine may be others.

    Args:
        chosen: the settings in the winner's file.
        config: of the run.
    """
    before, now = flat(make_config(**chosen)), flat(config)
    return tuple(name for name in before if name not in _FREE and before[name] != now[name])
