import itertools
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from msd_files import AFFINE, SHAPE, flip_a_bit, organ, save, voxels
from nibabel.testing import data_path
from skimage import transform

from activmask.data.files import nifti
from activmask.data.files.nifti import read_volume
from activmask.data.sources.msd.cases import Case
from activmask.data.sources.msd.volume import SliceRules, Slices, cut
from activmask.ground.errors import DataError

NIBABEL = Path(data_path)


def rules(**changes) -> SliceRules:
    usual = {
        "organ": (1, 2),
        "declared": (0, 1, 2),
        "size": 12,
        "window": (-160.0, 240.0),
        "per_volume": 0,
    }
    return SliceRules(**{**usual, **changes})


def sliced(
    folder: Path,
    image=None,
    label=None,
    *,
    affine=AFFINE,
    label_affine=None,
    channel=0,
    channels=1,
    **changes,
):
    image, label = voxels() if image is None else image, organ() if label is None else label
    case = Case(
        "case_1",
        save(folder / "image.nii.gz", image, affine),
        save(folder / "label.nii.gz", label, affine if label_affine is None else label_affine),
        channel,
        channels,
    )
    return cut(case, rules(**changes))


def same(left: Slices, right: Slices) -> bool:
    pairs = zip(left.slices, right.slices, strict=True)
    return left.failure is right.failure is None and all(
        a.z == b.z
        and np.array_equal(a.image, b.image)
        and (a.mask is None) == (b.mask is None)
        and (a.mask is None or np.array_equal(a.mask, b.mask))
        for a, b in pairs
    )


def test_a_slice_lies_as_radiologists_see_it(tmp_path):
    image = np.full(SHAPE, -1000, np.int16)
    image[-1, -1, :] = 1000
    label = np.zeros(SHAPE, np.uint8)
    label[:2, 0, 5] = 1
    last = sliced(tmp_path, image, label).slices[5]
    assert last.z == 5
    # 12 x 10 voxels padded by one row above and below: front right is the upper left.
    assert np.argwhere(last.image == 65535).tolist() == [[1, 0]]
    assert last.image.sum() == 65535
    assert last.mask is not None
    assert np.argwhere(last.mask).tolist() == [[10, 10], [10, 11]]


def test_every_axis_order_and_direction_gives_the_same_slices(tmp_path):
    straight = sliced(tmp_path)
    assert [one.mask is not None for one in straight.slices] == [False] * 3 + [True] * 3
    kinds = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))
    assert len(kinds) == 48
    for order, flips in kinds:
        turn = np.array([[axis, flip] for axis, flip in zip(order, flips, strict=True)], float)
        back = nib.orientations.inv_ornt_aff(turn, SHAPE)
        image, label = (nib.apply_orientation(array, turn) for array in (voxels(), organ()))
        turned = sliced(tmp_path, image, label, affine=AFFINE @ back)
        assert same(straight, turned), (order, flips)


def test_image_and_label_may_be_stored_in_different_orders(tmp_path):
    turn = np.array([[2, 1], [0, -1], [1, 1]], float)
    label = nib.apply_orientation(organ(), turn)
    affine = AFFINE @ nib.orientations.inv_ornt_aff(turn, SHAPE)
    assert same(sliced(tmp_path), sliced(tmp_path, None, label, label_affine=affine))


def test_an_oblique_volume_is_no_error(tmp_path):
    turn = np.deg2rad(17)
    affine = AFFINE.copy()
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    assert same(sliced(tmp_path), sliced(tmp_path, affine=affine))


def test_pixels_that_are_not_square_keep_their_shape(tmp_path):
    affine = np.diag([1.0, 3.0, 1.0, 1.0])
    label = np.zeros((12, 4, 2), np.uint8)
    label[..., 1] = 1
    one = sliced(tmp_path, voxels(0, (12, 4, 2)), label, affine=affine).slices[1]
    assert one.mask is not None
    assert one.mask.all()


def test_resizing_equals_scikit_image(tmp_path):
    image = voxels(1, (51, 51, 2))
    label = np.zeros(image.shape, np.uint8)
    label[10:30, 20:40, 1] = 1
    one = sliced(tmp_path, image, label, size=11).slices[1]
    plane = np.clip((image[::-1, ::-1, 1].T + 160) / 400, 0, 1)
    wanted = transform.resize(plane, (11, 11), order=1, anti_aliasing=True) * 65535
    assert np.abs(one.image - wanted).max() < 1
    mask = transform.resize(label[::-1, ::-1, 1].T > 0, (11, 11), order=0)
    assert one.mask is not None
    assert np.array_equal(one.mask, mask)


def test_the_window_follows_the_scale_of_the_file(tmp_path):
    values = np.linspace(-160, 240, 12 * 12 * 2).reshape(12, 12, 2)
    header = nib.Nifti1Image(np.rint((values + 1024) / 0.5).astype(np.int16), np.eye(4))
    header.header.set_slope_inter(0.5, -1024)
    nib.save(header, tmp_path / "scaled.nii.gz")
    volume = read_volume(tmp_path / "scaled.nii.gz")
    assert np.abs(volume.values(0) - nib.load(tmp_path / "scaled.nii.gz").get_fdata()[..., 0]).max() < 1e-9
    label = save(tmp_path / "label.nii.gz", np.zeros((12, 12, 2), np.uint8), np.eye(4))
    one = cut(Case("s", tmp_path / "scaled.nii.gz", label, 0), rules()).slices[1]
    wanted = np.clip((np.rint((values + 1024) / 0.5) * 0.5 - 1024 + 160) / 400, 0, 1)[::-1, ::-1, 1].T
    assert np.abs(one.image - wanted * 65535).max() <= 1


def test_percentiles_scale_each_volume(tmp_path):
    dim, bright = (sliced(tmp_path, voxels() * k, window=None) for k in (np.int32(1), np.int32(4000)))
    assert max(one.image.max() for one in dim.slices) == 65535
    assert all(
        np.abs(a.image.astype(int) - b.image).max() <= 1
        for a, b in zip(dim.slices, bright.slices, strict=True)
    )


def test_a_channel_of_the_fourth_axis_is_taken(tmp_path):
    both = np.stack([voxels(1), voxels(2)], axis=3)
    assert same(sliced(tmp_path, both, channel=1, channels=2), sliced(tmp_path, voxels(2)))


def test_an_image_with_other_channels_than_declared_gives_nothing(tmp_path):
    both = np.stack([voxels(1), voxels(2)], axis=3)
    for image, channels, found in (
        (both, 1, "2 channels"),
        (both, 3, "2 channels"),
        (voxels(), 2, "1 channel "),
    ):
        cut_up = sliced(tmp_path, image, channels=channels)
        assert f"image.nii.gz has {found}" in str(cut_up.failure)
        assert f"expected {channels}" in str(cut_up.failure)
        assert not cut_up.slices
    same_again = sliced(tmp_path, voxels()[..., None], organ()[..., None, None])
    assert same(same_again, sliced(tmp_path))
    assert same(sliced(tmp_path, both[..., None], channels=2, channel=1), sliced(tmp_path, voxels(2)))


@pytest.mark.parametrize("axis", [0, 3, 4])
def test_a_label_with_one_channel_a_class_gives_nothing(tmp_path, axis):
    label = organ()[..., None] if axis == 4 else organ()
    one_hot = np.stack([label == 0, label == 1, label == 2], axis=axis).astype(np.uint8)
    cut_up = sliced(tmp_path, None, one_hot)
    assert "label.nii.gz has " in str(cut_up.failure)
    assert not cut_up.slices


def test_slices_are_drawn_half_of_each_class_and_by_subject(tmp_path):
    label = organ()
    drawn = sliced(tmp_path, None, label, per_volume=4).slices
    assert sorted(one.mask is not None for one in drawn) == [False, False, True, True]
    assert [one.z for one in drawn] == sorted(one.z for one in drawn)
    assert len(sliced(tmp_path, None, label, per_volume=5).slices) == 5
    assert len(sliced(tmp_path, None, label, per_volume=100).slices) == 6
    cases = [Case(f"s{k}", tmp_path / "image.nii.gz", tmp_path / "label.nii.gz", 0) for k in range(20)]
    by_subject = {tuple(one.z for one in cut(case, rules(per_volume=2)).slices) for case in cases}
    by_seed = {tuple(one.z for one in cut(cases[0], rules(per_volume=2, seed=k)).slices) for k in range(20)}
    assert min(len(by_subject), len(by_seed)) > 3


def test_an_organ_that_vanishes_leaves_the_slice_out(tmp_path):
    label = np.zeros((60, 60, 3), np.uint8)
    label[:2, 0, 1] = 1
    done = sliced(tmp_path, voxels(0, label.shape), label, size=5)
    assert done.vanished == (1,)
    assert [one.z for one in done.slices] == [0, 2]


def test_labels_near_whole_numbers_are_these_numbers(tmp_path):
    near = np.where(organ() == 1, 0.9999999, organ()).astype(np.float64)
    assert same(sliced(tmp_path), sliced(tmp_path, None, near))
    assert "between whole numbers" in str(sliced(tmp_path, None, organ() * 0.9).failure)


@pytest.mark.parametrize("value", [3, 200, -1, 30_000])
def test_a_label_nobody_declared_is_refused(tmp_path, value):
    label = organ().astype(np.int16)
    label[0, 0, 0] = value
    assert "does not declare (0, 1, 2)" in str(sliced(tmp_path, None, label).failure)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_without_a_value_are_refused(tmp_path, value):
    image, label = voxels().astype(np.float32), organ().astype(np.float32)
    image[3, 3, 3] = label[3, 3, 3] = value
    assert "image.nii.gz holds voxels that are NaN or infinite" in str(sliced(tmp_path, image).failure)
    assert "label.nii.gz holds voxels that are NaN or infinite" in str(sliced(tmp_path, None, label).failure)


def test_a_pair_that_does_not_fit_is_refused(tmp_path):
    assert "10 x 10 x 6 voxels but its image 12 x 10 x 6" in str(sliced(tmp_path, None, organ()[:10]).failure)
    moved, nearly = AFFINE.copy(), AFFINE.copy()
    moved[0, 3] += 1
    nearly[0, 3] += 1e-3
    assert "affines differ" in str(sliced(tmp_path, label_affine=moved).failure)
    assert same(sliced(tmp_path), sliced(tmp_path, label_affine=nearly))


def test_a_volume_without_contrast_is_refused(tmp_path):
    assert "no contrast" in str(sliced(tmp_path, np.ones(SHAPE, np.int16), window=None).failure)


def test_a_flipped_bit_is_found_though_nibabel_reads_on(tmp_path):
    path = save(tmp_path / "image.nii.gz", voxels())
    flip_a_bit(path)
    assert np.asarray(nib.load(path).dataobj).shape == SHAPE
    with pytest.raises(DataError, match="its gzip is corrupt; download it again"):
        read_volume(path)


@pytest.mark.parametrize("keep", [0, 1, 20, 300, 1000, -1])
@pytest.mark.parametrize("name", ["image.nii.gz", "image.nii"])
def test_a_truncated_file_is_refused(tmp_path, name, keep):
    path = save(tmp_path / name, voxels())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="image"):
        read_volume(path)


def spoiled(path: Path, at: int, *numbers: int) -> Path:
    data = bytearray(path.read_bytes())
    data[at : at + 2 * len(numbers)] = np.array(numbers, "<i2").tobytes()
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("at", "numbers", "message"),
    [
        (40, (3, 32767, 32767, 32767), "claims more than"),
        (40, (3, 1000, 1000, 1000), "its header claims 2,000,000,352 bytes"),
        (40, (3, 0, 10, 6), "expected a volume"),
        (40, (2, 12, 60), "expected a volume"),
        (40, (9, 12, 10, 6), "broken NIfTI header"),
        (40, (3, -12, 10, 6), "broken NIfTI header"),
        (70, (9999,), "broken NIfTI header"),
        (70, (128,), "colours or complex"),
        (344, (0,), "not a NIfTI file in one piece"),
    ],
)
def test_a_broken_header_is_refused_before_anything_is_allocated(tmp_path, at, numbers, message):
    path = spoiled(save(tmp_path / "image.nii", voxels()), at, *numbers)
    with pytest.raises(DataError, match=message):
        read_volume(path)


def test_a_volume_of_more_bytes_than_memory_is_refused_from_its_header(tmp_path, monkeypatch):
    path = save(tmp_path / "image.nii.gz", voxels())
    size = 352 + voxels().size * 2
    monkeypatch.setattr(nifti, "memory_bytes", lambda: size)
    read_volume(path)
    monkeypatch.setattr(nifti, "memory_bytes", lambda: size - 1)
    monkeypatch.setattr(nifti, "bytearray", None, raising=False)
    with pytest.raises(DataError, match=rf"claims {size:,} bytes of voxels, and there are {size - 1:,}"):
        read_volume(path)


def test_a_volume_that_finds_no_memory_is_refused_in_a_sentence(tmp_path, monkeypatch):
    def full(_size: int) -> bytearray:
        raise MemoryError

    path = save(tmp_path / "image.nii", voxels())
    monkeypatch.setattr(nifti, "bytearray", full, raising=False)
    with pytest.raises(DataError, match=r"image\.nii needs more memory than is free"):
        read_volume(path)


def test_any_byte_of_a_header_may_be_broken(tmp_path):
    sound = save(tmp_path / "image.nii", voxels()).read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(1500):
        data = bytearray(sound)
        data[int(rng.integers(352))] = int(rng.integers(256))
        (tmp_path / "image.nii").write_bytes(data)
        try:
            read_volume(tmp_path / "image.nii")
        except DataError:
            refused += 1
    assert 0 < refused < 1500


def test_a_file_with_much_behind_its_voxels_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "image.nii", voxels())
    path.write_bytes(path.read_bytes() + b"x" * 200_000)
    read_volume(path)
    monkeypatch.setattr(nifti, "_TRAILER", 100_000)
    with pytest.raises(DataError, match="goes on far behind"):
        read_volume(path)


@pytest.mark.parametrize(
    "name", ["example4d.nii.gz", "anatomical.nii", "functional.nii", "example_nifti2.nii.gz"]
)
def test_real_files_are_read_as_nibabel_reads_them(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = nib.as_closest_canonical(nib.load(NIBABEL / name))
    array = wanted.get_fdata()
    volume = read_volume(NIBABEL / name, channels=array.shape[3] if array.ndim == 4 else 1)
    array = array[..., 0] if array.ndim == 4 else array
    assert volume.stored.shape == array.shape
    assert np.allclose(volume.affine, wanted.affine)
    assert all(np.allclose(volume.values(z), array[..., z], rtol=1e-6) for z in range(array.shape[2]))
    assert np.allclose(volume.spacing, nib.affines.voxel_sizes(wanted.affine))
