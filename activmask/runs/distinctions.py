"""How runs are told apart and paired in tables and figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from activmask.runs.description import RunConfig, all_settings, flat
from activmask.runs.identity import OF_NO_EXPERIMENT
from activmask.runs.names import names

_NAMED = {"preset", "model", "correlation", *OF_NO_EXPERIMENT}
"""Settings that names tell already, or that tell nothing of an experiment."""


def distinctions(configs: Sequence[RunConfig], folders: Sequence[Path]) -> list[str]:
    """For each run, what tells it from other runs of the same names.

    These are the settings that differ, weights among them where they differ between runs of one
    method, and where all agree as much of the folder's end as differs. An empty text means that
    data, model and method already name the run.

    Args:
        configs: one per run.
        folders: the run folders, one per run.
    """
    called = [names(config) for config in configs]
    values = [flat(config) for config in configs]
    settings = [
        _distinction(own, [other for other, name in zip(values, called, strict=True) if name == mine])
        for own, mine in zip(values, called, strict=True)
    ]
    keys = [(*name, text) for name, text in zip(called, settings, strict=True)]
    namesakes = [
        [folder for folder, other in zip(folders, keys, strict=True) if other == key] for key in keys
    ]
    return [
        ", ".join(filter(None, [text, f"in {_ending(folder, others)}" if len(others) > 1 else ""]))
        for text, folder, others in zip(settings, folders, namesakes, strict=True)
    ]


def _ending(folder: Path, others: Sequence[Path]) -> str:
    """The last parts of a folder, as many as it takes for all of them to differ."""
    most = max(len(other.parts) for other in others)
    lengths = (n for n in range(1, most) if len({other.parts[-n:] for other in others}) == len(others))
    return str(Path(*folder.parts[-next(lengths, most) :]))


def _distinction(own: Mapping[str, Any], namesakes: Sequence[Mapping[str, Any]]) -> str:
    known = all_settings().values()
    watched = [one.name for one in known if one.name not in _NAMED and not one.in_label]
    varying = [name for name in watched if len({other[name] for other in namesakes}) > 1]
    return ", ".join(f"{name} {own[name]}" for name in varying)
