"""The collections' real tables, which ship in torchxrayvision, each read once by the rules of the tests."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from activmask.data.sources.xray.findings import find_finding
from activmask.data.sources.xray.tables import Selection, Views, read_nih, read_padchest
from tests.xray_tables_files import PADCHEST_NAME

EMPHYSEMA = find_finding("emphysema")
REAL_NIH = "Data_Entry_2017_v2020.csv.gz"
REAL_PADCHEST = f"{PADCHEST_NAME}.gz"


def real_table(name: str) -> Path:
    """A table that ships in torchxrayvision, found without importing it."""
    spec = find_spec("torchxrayvision")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "data" / name


@cache
def real_nih(views: Views) -> Selection:
    """Emphysema in NIH ChestX-ray14."""
    return read_nih(real_table(REAL_NIH), finding=EMPHYSEMA, views=views)


@cache
def real_padchest(*, paper: bool) -> Selection:
    """Emphysema in PadChest: by the paper's rule, or by our own, of adults alone."""
    return read_padchest(real_table(REAL_PADCHEST), finding=EMPHYSEMA, paper=paper, adults=not paper)
