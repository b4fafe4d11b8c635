"""Findings that both chest X-ray collections name, and what each calls them."""

from dataclasses import dataclass

from activmask.ground.errors import UsageError
from activmask.ground.nearest import nearest


@dataclass(frozen=True)
class Finding:
    """One finding in the words of both collections."""

    name: str
    nih: str
    """Label of NIH ChestX-ray14 (Wang et al. 2017, arXiv 1705.02315)."""
    padchest: str
    """Label of PadChest (Bustos et al. 2020, doi 10.1016/j.media.2020.101797)."""


FINDINGS = {
    finding.name: finding
    for finding in (
        Finding("atelectasis", "Atelectasis", "atelectasis"),
        Finding("cardiomegaly", "Cardiomegaly", "cardiomegaly"),
        Finding("consolidation", "Consolidation", "consolidation"),
        Finding("edema", "Edema", "pulmonary edema"),
        Finding("effusion", "Effusion", "pleural effusion"),
        Finding("emphysema", "Emphysema", "emphysema"),
        Finding("fibrosis", "Fibrosis", "pulmonary fibrosis"),
        Finding("hernia", "Hernia", "hiatal hernia"),
        Finding("infiltration", "Infiltration", "infiltrates"),
        Finding("mass", "Mass", "mass"),
        Finding("nodule", "Nodule", "nodule"),
        Finding("pleural-thickening", "Pleural_Thickening", "pleural thickening"),
        Finding("pneumonia", "Pneumonia", "pneumonia"),
        Finding("pneumothorax", "Pneumothorax", "pneumothorax"),
    )
}


def find_finding(name: str) -> Finding:
    """The finding of that name.

    Raises:
        UsageError: both collections do not have it.
    """
    key = name.strip().casefold().replace(" ", "-").replace("_", "-")
    if key not in FINDINGS:
        raise UsageError(f"there is no finding '{name}' in both collections; {nearest(key, FINDINGS)}")
    return FINDINGS[key]
