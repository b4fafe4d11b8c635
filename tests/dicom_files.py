"""DICOM files written for the tests, of a patient whose name may appear nowhere."""

from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

PATIENT = "Zwirbelmeier^Ottokar"
PATIENT_ID = "QX-4711-SECRET"


def dicom_dataset(pixels: np.ndarray, **elements: Any) -> Dataset:
    """An uncompressed grey image of uint16 or int16; `elements` replace its own, None drops one."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.PatientName, dataset.PatientID = PATIENT, PATIENT_ID
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def write_dicom(path: Path, pixels: np.ndarray, **elements: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dicom_dataset(pixels, **elements).save_as(path, enforce_file_format=True)
    return path


def gradient(height: int = 6, width: int = 5) -> np.ndarray:
    return (np.arange(height * width, dtype=np.uint16) * 37).reshape(height, width)
