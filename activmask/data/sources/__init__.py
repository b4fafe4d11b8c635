"""Where data sets come from, one folder per source.

Everything that depends on which sources there are is derived from the table below: presets, and how the
files that `saliency` is given are known and read.
"""

from activmask.data.source import DataSource
from activmask.data.sources.folder.source import FOLDER
from activmask.data.sources.msd.source import MSD
from activmask.data.sources.synthetic.source import SYNTHETIC
from activmask.data.sources.xray.source import XRAY

SOURCES: dict[str, DataSource] = {"synthetic": SYNTHETIC, "msd": MSD, "xray": XRAY, "folder": FOLDER}
"""All sources by the name that the card of a data set gives."""
