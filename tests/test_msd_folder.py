import re
import shutil
import tarfile

import pytest
from in_process import told
from msd_files import Decathlon, digest, evil, names, organ, packed, save, voxels

from activmask.data.sources.msd import archive as msd_archive
from activmask.data.sources.msd.archive import unpacked
from activmask.data.sources.msd.cases import chosen_values, read_task
from activmask.data.sources.msd.prepare import prepare_msd
from activmask.ground.claims import InUse, claimed
from activmask.ground.errors import DataError, UsageError


@pytest.fixture
def task(tmp_path) -> Decathlon:
    return Decathlon(tmp_path / "Task03_Liver").case("liver_0").case("liver_1")


def test_a_task_is_found_by_its_folder_its_description_or_the_folder_above(task, tmp_path):
    found = read_task(task.root)
    assert found == read_task(task.root / "dataset.json") == read_task(tmp_path)
    assert [case.subject for case in found.cases] == ["liver_0", "liver_1"]
    assert found.labels == {"liver": (1,), "tumour": (2,)}
    assert found.values == (0, 1, 2)
    assert (found.name, found.modality, found.licence) == ("LITS", "CT", "CC-BY-SA 4.0")


def test_nothing_but_a_task_is_taken_for_one(task, tmp_path):
    with pytest.raises(DataError, match="nowhere does not exist; expected a task folder"):
        read_task(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"has no dataset\.json inside"):
        read_task(task.root / "imagesTr")
    with pytest.raises(DataError, match="is no task folder"):
        read_task(task.image("liver_0"))
    shutil.copytree(task.root, tmp_path / "Task04_Other")
    with pytest.raises(DataError, match=r"has 2 dataset\.json inside, expected one"):
        read_task(tmp_path)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"labels": None}, "labels must be a JSON object"),
        ({"labels": {"one": "liver"}}, "label 'liver' must have whole numbers"),
        ({"labels": {"99999": "liver"}}, "label 'liver' must be at most 65535"),
        ({"labels": {"0": "background", "1": "ignore"}}, "'ignore' leaves voxels undecided"),
        ({"modality": []}, "modality must be a JSON object"),
        ({"training": []}, "training must list the labelled volumes"),
        ({"training": [{"image": "a.nii.gz"}]}, "entry 1 of training must name an image and a label"),
        ({"training": ["a.nii.gz"]}, "entry 1 of training must name"),
    ],
)
def test_a_broken_description_is_refused(task, facts, message):
    task.described(**facts)
    with pytest.raises(DataError, match=message):
        read_task(task.root)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, "null", '"\\ud800"', "1e999"])
def test_a_description_that_is_no_object_is_refused(task, text):
    (task.root / "dataset.json").write_text(text)
    with pytest.raises(DataError, match=r"dataset\.json"):
        read_task(task.root)


@pytest.mark.parametrize("name", ["../Task03_Liver_2/a.nii.gz", "/etc/hostname", "./imagesTr/../../a"])
def test_a_listed_file_outside_the_folder_is_left_out(task, tmp_path, name):
    (tmp_path / "a").write_bytes(b"")
    save(tmp_path / "Task03_Liver_2/a.nii.gz", voxels())
    entry = {"image": name, "label": "./labelsTr/liver_1.nii.gz"}
    task.described(training=[*task.facts["training"][:1], entry])
    found = read_task(task.root)
    assert len(found.cases) == 1
    assert "lies outside the task's folder" in found.skipped[0][1]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("imagesTr/circle.nii.gz", "cannot be read (Too many levels of symbolic links)"),
        ("imagesTr/" + 300 * "a", "cannot be read (File name too long)"),
        ("imagesTr/dangling.nii.gz", "is a link that leads nowhere"),
        ("imagesTr/folder.nii.gz", "is a folder"),
        ("a\0b", "cannot be read (embedded null byte)"),
        ("imagesTr/gone.nii.gz", "does not exist"),
    ],
)
def test_a_listed_file_that_cannot_be_read_is_told_as_what_it_is(task, name, why):
    images = task.root / "imagesTr"
    (images / "circle.nii.gz").symlink_to(images / "circle.nii.gz")
    (images / "dangling.nii.gz").symlink_to(images / "nowhere")
    (images / "folder.nii.gz").mkdir()
    entry = {"image": name, "label": "./labelsTr/liver_1.nii.gz"}
    task.described(training=[*task.facts["training"][:1], entry])
    assert read_task(task.root).skipped[0][1].endswith(why)


def test_a_link_that_leads_outside_is_left_out(task, tmp_path):
    outside = save(tmp_path / "outside.nii.gz", voxels())
    task.image("liver_1").unlink()
    task.image("liver_1").symlink_to(outside)
    assert "leads outside" in read_task(task.root).skipped[0][1]


def nnunet(root, ending=".nii.gz", channels=("CT", "PET")) -> Decathlon:
    made = Decathlon(root)
    for case in ("ab_001", "ab_002"):
        for k in range(len(channels)):
            save(root / f"imagesTr/{case}_{k:04d}{ending}", voxels(k))
        save(root / f"labelsTr/{case}{ending}", organ())
    save(root / f"imagesTr/ab_003_0000{ending}", voxels())
    made.facts = {
        "channel_names": {str(k): name for k, name in enumerate(channels)},
        "labels": {"background": 0, "whole": [1, 2], "tumour": 2},
        "numTraining": 2,
        "file_ending": ending,
    }
    return made.described()


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
def test_an_nnunet_folder_is_read(tmp_path, ending):
    made = nnunet(tmp_path / "Dataset011_Both", ending)
    found = read_task(made.root, channel=1)
    assert (found.name, found.modality) == ("Dataset011_Both", "PET")
    assert [case.image.name for case in found.cases] == [f"ab_001_0001{ending}", f"ab_002_0001{ending}"]
    assert [case.subject for case in found.cases] == ["ab_001", "ab_002"]
    assert all(case.channel == 0 for case in found.cases)
    assert found.labels == {"whole": (1, 2), "tumour": (2,)}
    assert chosen_values(found, ("whole",)) == (1, 2)
    assert [reason for _, reason in read_task(made.root).skipped] == [
        f"labelsTr/ab_003{ending} does not exist"
    ]
    with pytest.raises(UsageError, match="channel must be from 0 to 1 \\(CT, PET\\)"):
        read_task(made.root, channel=2)
    assert prepare_msd(made.root, tmp_path / "out", size=20, channel=1).written.images == 12


def test_an_nnunet_folder_of_other_images_is_refused(tmp_path):
    made = nnunet(tmp_path / "Dataset011_Both").described(file_ending=".png")
    with pytest.raises(DataError, match=r"file_ending must be \.nii\.gz or \.nii; found '.png'"):
        read_task(made.root)


@pytest.mark.parametrize(("suffix", "mode"), [(".tar", "w"), (".tar.gz", "w:gz"), (".tgz", "w:gz")])
def test_an_archive_is_unpacked_and_removed(task, tmp_path, suffix, mode):
    save(task.root / "imagesTs/liver_9.nii.gz", voxels())
    archive = packed(task.root, tmp_path / f"Task03_Liver{suffix}", mode=mode)
    with unpacked(archive, tmp_path / "out") as folder:
        assert folder.parent == tmp_path
        assert list(digest(folder)) == [
            "Task03_Liver/dataset.json",
            *(f"Task03_Liver/{part}Tr/liver_{k}.nii.gz" for part in ("images", "labels") for k in (0, 1)),
        ]
    wanted = prepare_msd(task.root, tmp_path / "a", size=20).written
    shutil.rmtree(task.root)
    found = prepare_msd(archive, tmp_path / "b", size=20).written
    assert found.counts == wanted.counts
    assert (tmp_path / "a/card.json").read_bytes() == (tmp_path / "b/card.json").read_bytes()
    assert names(tmp_path) == sorted([archive.name, "a", "b"])


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (evil("Task03_Liver/../../out.nii.gz"), "leads outside"),
        (evil("/tmp/absolute.nii.gz"), "leads outside"),
        (evil("..\\out"), "leads outside"),
        (evil("Task03_Liver/soft", tarfile.SYMTYPE, "/etc/hostname"), "link or device"),
        (evil("Task03_Liver/hard", tarfile.LNKTYPE, "Task03_Liver/dataset.json"), "link or device"),
        (evil("Task03_Liver/device", tarfile.CHRTYPE), "link or device"),
        (evil("Task03_Liver/pipe", tarfile.FIFOTYPE), "link or device"),
        (evil("Task03_Liver/imagesTs/soft", tarfile.SYMTYPE, "../dataset.json"), "link or device"),
    ],
)
def test_an_archive_that_reaches_outside_is_refused(task, tmp_path, member, message):
    archive = packed(task.root, tmp_path / "Task03_Liver.tar", member)
    shutil.rmtree(task.root)
    with pytest.raises(DataError, match=message):
        prepare_msd(archive, tmp_path / "out")
    assert names(tmp_path) == ["Task03_Liver.tar"]


def told_by_pax(name: str, value: str) -> tarfile.TarInfo:
    member = evil("Task03_Liver/plain")
    member.pax_headers = {name: value}
    return member


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (evil("a/" * 2000 + "f"), "in 2,000 folders, expected at most 16"),
        (evil("Task03_Liver/imagesTs/" + "a/" * 16 + "f"), "in 18 folders"),
        (evil("Task03_Liver/" + "x" * 256), "holds the name .* of 256 bytes, expected at most 255"),
        (evil("Task03_Liver/" + "é" * 128), "of 256 bytes"),
        (told_by_pax("path", "a\0b"), "is not a whole .tar file"),
        (told_by_pax("path", "a/" * 20_000 + "f"), "in 20,000 folders"),
        (told_by_pax("size", "-5"), "is not a whole .tar file"),
        (told_by_pax("size", "9" * 30), "unpacks to more than"),
    ],
    ids=range(8),
)
def test_an_archive_of_names_that_no_task_has_is_refused_and_leaves_nothing(task, tmp_path, member, message):
    archive = packed(task.root, tmp_path / "Task03_Liver.tar", member)
    shutil.rmtree(task.root)
    shown = told("prepare-msd", archive, "--out", tmp_path / "out", cwd=tmp_path, code=3)
    assert re.search(message, " ".join(shown.stderr.split()))
    assert names(tmp_path) == ["Task03_Liver.tar"]


def test_an_archive_of_too_many_members_is_refused(task, tmp_path, monkeypatch):
    archive = packed(task.root, tmp_path / "Task03_Liver.tar")
    monkeypatch.setattr(msd_archive, "MOST_MEMBERS", 5)
    with pytest.raises(DataError, match="holds more than 5 files"):
        prepare_msd(archive, tmp_path / "out")


def test_nothing_is_unpacked_where_another_process_is_at_work_and_what_one_unpacked_goes(task, tmp_path):
    archive = packed(task.root, tmp_path / "Task03_Liver.tar")
    shutil.rmtree(task.root)
    left = tmp_path / ".out.0123456789ab.unpacked"
    (left / "imagesTr").mkdir(parents=True)
    with claimed(tmp_path / "out", "data set"):
        with pytest.raises(InUse, match=f"the data set {tmp_path}/out is being written by process"):
            prepare_msd(archive, tmp_path / "out")
        assert left.exists()
    prepare_msd(archive, tmp_path / "out")
    assert names(tmp_path) == ["Task03_Liver.tar", "out"]


def test_an_archive_too_large_is_refused(task, tmp_path, monkeypatch):
    archive = packed(task.root, tmp_path / "Task03_Liver.tar")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(msd_archive.shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(DataError, match="more bytes beside the data set but 10 are free"):
        prepare_msd(archive, tmp_path / "out")
    monkeypatch.undo()
    monkeypatch.setattr(msd_archive, "MAX_BYTES", 1000)
    with pytest.raises(DataError, match="unpacks to more than 1,000 bytes"):
        prepare_msd(archive, tmp_path / "out")


@pytest.mark.parametrize(("name", "mode"), [("Task.tar", "w"), ("Task.tar.gz", "w:gz")])
def test_a_broken_archive_is_refused(task, tmp_path, name, mode):
    whole = packed(task.root, tmp_path / name, mode=mode).read_bytes()
    shutil.rmtree(task.root)
    for data in (b"", b"nonsense", whole[: len(whole) // 2], whole[:700]):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match="Task"):
            prepare_msd(tmp_path / name, tmp_path / "out")
        assert names(tmp_path) == [name]
    with pytest.raises(DataError, match=r"does not exist; expected a \.tar file"):
        prepare_msd(tmp_path / "none.tar", tmp_path / "out")
