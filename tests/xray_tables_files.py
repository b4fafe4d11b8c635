"""Metadata tables in the released forms of NIH ChestX-ray14 and PadChest, small enough to count by hand."""

import csv
import gzip
import io
from collections.abc import Sequence
from pathlib import Path

NIH_2017_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
NIH_2020_HEADER = NIH_2017_HEADER.replace("Gender", "Sex").removesuffix(",")
PADCHEST_COLUMNS = [
    "",
    "ImageID",
    "ImageDir",
    "StudyDate_DICOM",
    "StudyID",
    "PatientID",
    "PatientBirth",
    "PatientSex_DICOM",
    "ViewPosition_DICOM",
    "Projection",
    "MethodProjection",
    "Pediatric",
    "Modality_DICOM",
    "Manufacturer_DICOM",
    "PhotometricInterpretation_DICOM",
    "PixelRepresentation_DICOM",
    "PixelAspectRatio_DICOM",
    "SpatialResolution_DICOM",
    "BitsStored_DICOM",
    "WindowCenter_DICOM",
    "WindowWidth_DICOM",
    "Rows_DICOM",
    "Columns_DICOM",
    "XRayTubeCurrent_DICOM",
    "Exposure_DICOM",
    "ExposureInuAs_DICOM",
    "ExposureTime",
    "RelativeXRayExposure_DICOM",
    "ReportID",
    "Report",
    "MethodLabel",
    "Labels",
    "Localizations",
    "LabelsLocalizationsBySentence",
    "labelCUIS",
    "LocalizationsCUIS",
]
PADCHEST_NAME = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"


def nih_row(image: str, labels: str, view: str = "PA", *, end: str = ",") -> str:
    """One line as released; the first eight digits of the image's name are the patient."""
    return f"{image},{labels},0,{int(image[:8])},058Y,M,{view},2682,2749,0.143,0.143{end}"


def padchest_row(image: str, labels: str, **cells: str) -> dict[str, str]:
    """An adult's PA image with `labels` as they stand in the file; `cells` replaces columns."""
    adult = {
        "ImageID": image,
        "ImageDir": "0",
        "StudyDate_DICOM": "20140915",
        "PatientID": "839860488694292331637988235681460987",
        "PatientBirth": "1930.0",
        "ViewPosition_DICOM": "POSTEROANTERIOR",
        "Projection": "PA",
        "Pediatric": "No",
        "Report": "sin hallazg , patolog",
        "Labels": labels,
    }
    return adult | cells


def padchest_text(rows: Sequence[dict[str, str]], *, without: str = "") -> str:
    """The whole table, less the column `without`."""
    columns = [name for name in PADCHEST_COLUMNS if not without or name != without]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({"": str(i)} | row for i, row in enumerate(rows))
    return text.getvalue()


def write_table(path: Path, text: str) -> Path:
    """Write `text`, gzipped where the name ends in .gz, with the line ends it has."""
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path
