"""What the Triton form of the masked shuffle must do; `test_masked_shuffle_triton.py` runs this file."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
import torch
import triton
from scipy.stats import chisquare
from torch import Tensor
from triton import language as tl

from activmask.kernels.masked_shuffle import triton as form

pytestmark = pytest.mark.process  # Triton compiles by other programs.

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
ROWS = 8 if CUDA else 2048


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator(DEVICE).manual_seed(seed)


def number(value: int) -> Tensor:
    return torch.tensor(value, device=DEVICE)


def scene(batch: int, channels: int, height: int, width: int, share: float = 0.3) -> tuple[Tensor, Tensor]:
    """Images whose every value is another one, and masks."""
    images = torch.arange(float(batch * channels * height * width), device=DEVICE)
    masks = torch.rand((batch, 1, height, width), generator=generator(1), device=DEVICE) < share
    return images.view(batch, channels, height, width), masks


def shuffle(images: Tensor, masks: Tensor, seed: int = 5, offset: int = 0, inverse: bool = False) -> Tensor:
    """The operator, on memory that holds NaN and the largest integers before it is written."""
    torch.use_deterministic_algorithms(True)
    try:
        return form.shuffle(images, masks, number(seed), number(offset), inverse)
    finally:
        torch.use_deterministic_algorithms(False)


@triton.jit
def draw(out, keys, seed, offset, rows: tl.constexpr, high_bits: tl.constexpr, low_bits: tl.constexpr):
    row = tl.program_id(0) * rows + tl.arange(0, rows)[:, None]
    form._write_keys(keys, seed, offset, row, 1 << 30)
    tl.debug_barrier()
    size: tl.constexpr = 1 << (high_bits + low_bits)
    column = tl.zeros((rows, 1), tl.int32) + tl.arange(0, size)[None, :]
    drawn = form._bijection(column, keys + row * form._KEY_WORDS, high_bits, low_bits)
    tl.store(out + row * size + column, drawn)


def bijections(count: int, bits: int, seed: int = 5, offset: int = 0) -> np.ndarray:
    """The bijections of 0 .. 2^bits - 1 of so many images, (count, 2^bits)."""
    rows = min(ROWS, count)
    out = torch.empty((count, 1 << bits), dtype=torch.int32, device=DEVICE)
    keys = torch.empty((count, 32), dtype=torch.int32, device=DEVICE)
    draw[(count // rows,)](out, keys, number(seed), number(offset), rows, bits // 2, bits - bits // 2)
    return out.cpu().numpy()


def drawn_orders(count: int, kept: int, seed: int) -> np.ndarray:
    """The permutations of 0 .. kept - 1 that so many images get, (count, kept)."""
    drawn = bijections(count, 8, seed)
    return drawn[drawn < kept].reshape(count, kept)


def by_hand(images: Tensor, masks: Tensor, bits: int) -> Tensor:
    """The shuffle pixel by pixel from the bijections, with no Triton but theirs."""
    shuffled = images.clone()
    for image, copy, mask, drawn in zip(images, shuffled, masks, bijections(len(images), bits), strict=True):
        places = (~mask.flatten()).nonzero().flatten()
        kept = torch.from_numpy(drawn[drawn < len(places)]).to(places)
        copy.flatten(1)[:, places] = image.flatten(1)[:, places[kept]]
    return shuffled


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(form, "_LARGEST_IMAGE_OF_ONE_PROGRAM", 0)
    monkeypatch.setattr(form, "_TILE", 256)


@pytest.mark.parametrize(
    ("shape", "bits"),
    [((2, 1, 1, 1), 8), ((2, 2, 3, 5), 8), ((2, 3, 28, 28), 10), ((1, 1, 1, 257), 9), ((1, 2, 64, 64), 12)],
)
def test_a_small_image_is_shuffled_as_its_bijection_says(shape, bits):
    images, masks = scene(*shape)
    assert torch.equal(shuffle(images, masks), by_hand(images, masks, bits))


@pytest.mark.parametrize("shape", [(2, 3, 11, 13), (1, 2, 17, 31), (1, 1, 30, 30)])
def test_tiles_give_what_one_program_gives(shape, small_tiles):
    images, masks = scene(*shape)
    tiled = shuffle(images, masks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(form, "_LARGEST_IMAGE_OF_ONE_PROGRAM", 4096)
        assert torch.equal(tiled, shuffle(images, masks))
    assert torch.equal(shuffle(tiled, masks, inverse=True), images)


@pytest.mark.parametrize("shape", [(1, 2, 65, 64), (1, 1, 1000, 1024)])
def test_a_large_image_is_shuffled_as_its_bijection_says(shape, monkeypatch):
    bits = (shape[2] * shape[3] - 1).bit_length()
    if not CUDA:  # wide tiles: the interpreter's time goes by programs
        monkeypatch.setattr(form, "_TILE", 1 << (bits - 2))
    images, masks = scene(*shape)
    shuffled = shuffle(images, masks)
    inside = masks.expand_as(images)
    assert torch.equal(shuffled[inside], images[inside])
    assert torch.equal(shuffled.flatten().sort().values, images.flatten())
    assert float((shuffled == images)[~inside].float().mean()) < 0.01
    assert torch.equal(shuffled, by_hand(images, masks, bits))


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16, torch.uint8, torch.float64, torch.bool]
)
def test_values_of_every_dtype_are_moved_unchanged(dtype):
    images, masks = scene(1, 2, 9, 10)
    shuffled = shuffle(images.to(dtype), masks)
    assert shuffled.dtype == dtype
    assert torch.equal(shuffled, shuffle(images, masks).to(dtype))


def test_no_layout_of_images_or_masks_changes_the_result():
    images, masks = scene(2, 3, 7, 8)
    expected = shuffle(images, masks)
    strided = torch.zeros(2, 3, 7, 16, device=DEVICE)
    strided[..., ::2] = images
    sparse = torch.zeros(2, 1, 14, 8, dtype=torch.bool, device=DEVICE)
    sparse[:, :, ::2] = masks
    transposed = images.transpose(2, 3).contiguous().transpose(2, 3)
    last = images.contiguous(memory_format=torch.channels_last)
    for same in (transposed, strided[..., ::2], last):
        assert torch.equal(shuffle(same, sparse[:, :, ::2]), expected)
    assert shuffle(last, masks).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(shuffle(images[:1].expand(2, 3, 7, 8), masks)[0], expected[0])


def test_masks_of_ones_and_of_zeros(small_tiles):
    images, _ = scene(2, 1, 20, 20)
    none = torch.zeros(2, 1, 20, 20, dtype=torch.bool, device=DEVICE)
    assert torch.equal(shuffle(images, ~none), images)
    shuffled = shuffle(images, none)
    assert torch.equal(shuffled.flatten(1).sort(dim=1).values, images.flatten(1))
    assert int((shuffled == images).sum()) < 15
    assert shuffle(images[:0], none[:0]).shape == (0, 1, 20, 20)


def test_seed_offset_and_image_each_change_the_permutation():
    images, _ = scene(1, 1, 8, 8)
    images, outside = images.expand(2, 1, 8, 8), torch.zeros(2, 1, 8, 8, dtype=torch.bool, device=DEVICE)
    settings = [(5, 0), (6, 0), (5 + 2**40, 0), (-5, 0), (5, 1), (5, 2**40), (5, -1)]
    drawn = [shuffle(images, outside, seed, offset) for seed, offset in settings]
    assert len({tuple(image.flatten().tolist()) for pair in drawn for image in pair}) == 2 * len(settings)
    assert torch.equal(shuffle(images, outside), drawn[0])
    # An image's permutation does not depend on how many others there are.
    assert torch.equal(shuffle(images[:1], outside[:1]), drawn[0][:1])


def test_the_generator_alone_decides():
    images, masks = scene(1, 1, 9, 9)
    source, before = generator(11), torch.random.get_rng_state()
    state = source.get_state()
    first, second = form.masked_shuffle(images, masks, source), form.masked_shuffle(images, masks, source)
    assert not torch.equal(first, second)
    source.set_state(state)
    assert torch.equal(form.masked_shuffle(images, masks, source), first)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("tile", [4096, 0])
def test_several_seeds_are_shuffled_as_each_would_be_by_itself(tile, monkeypatch):
    monkeypatch.setattr(form, "_LARGEST_IMAGE_OF_ONE_PROGRAM", tile)
    monkeypatch.setattr(form, "_TILE", 256)
    images, masks = scene(6, 2, 9, 10)
    images, masks = images.view(3, 2, 2, 9, 10), masks.view(3, 2, 1, 9, 10)
    together = form.masked_shuffles(images, masks, [generator(seed) for seed in range(3)])
    for seed, own in enumerate(together):
        assert torch.equal(own, form.masked_shuffle(images[seed], masks[seed], generator(seed)))


def test_all_24_permutations_of_four_pixels_are_equally_likely():
    seen = Counter(map(tuple, drawn_orders(8192, 4, seed=1).tolist()))
    assert set(seen) == set(permutations(range(4)))
    assert chisquare(list(seen.values())).pvalue > 1e-3


def test_every_pixel_lands_everywhere_equally_often_and_on_its_own_place_once():
    draws, kept = 4096, 61
    orders = drawn_orders(draws, kept, seed=2)
    landed = np.zeros((kept, kept))
    np.add.at(landed, (np.arange(kept), orders), 1)
    freedom = (kept - 1) ** 2
    excess = ((landed - draws / kept) ** 2).sum() / (draws / kept) - freedom
    assert abs(excess) < 4 * (2 * freedom) ** 0.5
    # Fixed points, and places where one image agrees with the next: 1 on average, with variance 1.
    for agreeing in (orders == np.arange(kept), orders[1:] == orders[:-1]):
        assert abs(agreeing.sum(axis=1).mean() - 1) < 4 / (draws - 1) ** 0.5


def test_neighbours_come_in_either_order_equally_often():
    draws, kept = 4096, 61
    orders = drawn_orders(draws, kept, seed=3)
    ascents = (orders[:, 1:] > orders[:, :-1]).sum(axis=1)
    # Eulerian numbers: mean (n - 1) / 2, variance (n + 1) / 12.
    assert abs(ascents.mean() - (kept - 1) / 2) < 4 * ((kept + 1) / 12 / draws) ** 0.5
    assert ascents.var() == pytest.approx((kept + 1) / 12, rel=4 * (2 / draws) ** 0.5)
    successors = (np.diff(orders, axis=1) == 1).sum(axis=1)
    assert abs(successors.mean() - (kept - 1) / kept) < 4 / draws**0.5


@pytest.mark.parametrize("bits", [8, 9, 13])
def test_a_bijection_meets_every_number_once(bits):
    drawn = bijections(16, bits)
    assert (np.sort(drawn, axis=1) == np.arange(1 << bits)).all()


def test_gradients_return_to_the_pixels_that_moved_at_every_order():
    images, masks = scene(1, 1, 2, 3)
    images = images.double().requires_grad_()
    assert torch.autograd.gradcheck(shuffle, (images, masks), fast_mode=True)
    assert torch.autograd.gradgradcheck(shuffle, (images, masks), fast_mode=True)
    weights = torch.arange(6.0, 12.0, device=DEVICE, dtype=torch.float64).view(1, 1, 2, 3)
    shuffled = shuffle(images, masks)
    (shuffled * weights).sum().backward()
    for value, weight in zip(shuffled.flatten().tolist(), weights.flatten().tolist(), strict=True):
        assert float(images.grad.flatten()[int(value)]) == weight


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_torch_accepts_the_operator(layout):
    images, masks = scene(2, 3, 4, 5)
    images = images.contiguous(memory_format=layout).requires_grad_()
    torch.library.opcheck(form.shuffle, (images, masks, number(1), number(2), False))


@pytest.mark.cuda
@pytest.mark.skipif(not CUDA, reason="needs CUDA graphs")
def test_a_captured_call_draws_fresh_permutations_at_each_replay():
    images, masks = scene(2, 1, 80, 80)
    source, graph = generator(3), torch.cuda.CUDAGraph()
    graph.register_generator_state(source)
    form.masked_shuffle(images, masks, source)
    with torch.cuda.graph(graph):
        captured = form.masked_shuffle(images, masks, source)
    copies = set()
    for _ in range(5):
        graph.replay()
        assert torch.equal(captured.flatten().sort().values, images.flatten())
        copies.add(tuple(captured.flatten().tolist()))
    assert len(copies) == 5
