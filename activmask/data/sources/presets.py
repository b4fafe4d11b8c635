"""The paper's settings for its data sets, as the sources of these tell them."""

from activmask.data.source import DataSource, PresetValues
from activmask.data.sources import SOURCES


def presets() -> dict[str, PresetValues]:
    """All presets by name, in the order of the table of sources."""
    return {name: preset for one in SOURCES.values() for name, preset in one.presets.items()}


def source_of(preset: str) -> tuple[str, DataSource]:
    """The source that a preset is for, and its name (raises StopIteration where there is no such preset)."""
    return next((name, one) for name, one in SOURCES.items() if preset in one.presets)
