# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls
"""The masked shuffle in Triton, registered as the operator `activmask::masked_shuffle`.

A random bijection of 0 .. 2^n - 1, cut down to the numbers below the count of outside pixels, is a
random permutation of those; it needs no sort and no host (Mitchell, Stokes, Frank and Holmes,
"Bandwidth-optimal random shuffling for GPUs", doi:10.1145/3505287, arXiv:2106.06161).

Three steps per image: list where its outside pixels are; draw the bijection and keep what is below
their count; move the pixel of the kept number to the place of the kept number's rank. One program
takes all three for a small image; a large one is cut into tiles, and each step is a launch.

Shapes: B images, C channels, P = H * W pixels, T tiles.
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor
from torch.library import register_autograd, register_fake
from triton import language as tl  # type: ignore[import-untyped, unused-ignore]

from activmask.kernels.ahead import launch
from activmask.kernels.defining import operator

_ROUNDS = tl.constexpr(24)
_KEY_WORDS = tl.constexpr(32)
_MULTIPLIER = tl.constexpr(0xD2511F53)
# Below 2^6 numbers the network reaches only a part of the permutations (4 of the 6 of three pixels).
_FEWEST_BITS = 8
_LARGEST_IMAGE_OF_ONE_PROGRAM = 4096
_TILE = 1024
_WORDS = 2**62
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@triton.jit
def _write_keys(keys, seed, offset, image, per_seed):
    """The round keys of one image: Philox keyed by its seed, counting word, image and offset."""
    word = tl.arange(0, _KEY_WORDS)
    zero = word * 0
    own = image // per_seed
    count = tl.load(offset + own)
    key, _, _, _ = tl.philox(
        tl.load(seed + own),
        word,
        zero + image % per_seed,
        zero + count.to(tl.int32),
        zero + (count >> 32).to(tl.int32),
    )
    tl.store(keys + image * _KEY_WORDS + word, key.to(tl.int32, bitcast=True))


@triton.jit
def _bijection(number, keys, high_bits: tl.constexpr, low_bits: tl.constexpr):
    """An unbalanced Feistel network on high_bits + low_bits bits; a round multiplies as Philox does."""
    high = (number >> low_bits).to(tl.uint32)
    low = (number & ((1 << low_bits) - 1)).to(tl.uint32)
    multiplier = tl.full(high.shape, _MULTIPLIER, tl.uint32)
    for step in tl.static_range(_ROUNDS):
        key = tl.load(keys + step).to(tl.uint32, bitcast=True)
        product = tl.mul(high, multiplier, sanitize_overflow=False)
        carried = (product << (low_bits - high_bits)) | (low >> high_bits)
        high = (tl.umulhi(high, multiplier) ^ key ^ low) & ((1 << high_bits) - 1)
        low = carried & ((1 << low_bits) - 1)
    return ((high << low_bits) | low).to(tl.int32)


@triton.jit
def _outside(masks, pixel, pixels, mask_p):
    return tl.load(masks + pixel * mask_p, mask=pixel < pixels, other=1) == 0


@triton.jit
def _copy(images, out, source, target, wanted, channels, strides):
    """Copy the wanted pixels of one image, all channels of each, from `source` to `target`."""
    _, image_c, image_p, _, out_c, out_p, _, _ = strides
    for _channel in range(channels):
        tl.store(out + target * out_p, tl.load(images + source * image_p, mask=wanted), mask=wanted)
        images += image_c
        out += out_c


@triton.jit
def _of_image(images, masks, out, places, image, pixels, strides):
    """Where one image's own part of each tensor begins."""
    image_b, _, _, out_b, _, _, mask_b, _ = strides
    image = image.to(tl.int64)
    return images + image * image_b, masks + image * mask_b, out + image * out_b, places + image * pixels


@triton.jit
def _move(images, out, places, number, rank, kept, channels, strides, inverse: tl.constexpr):
    """Move the pixel listed under each kept number to the place listed under the number's rank."""
    drawn = tl.load(places + number, mask=kept, other=0)
    ranked = tl.load(places + rank, mask=kept, other=0)
    if inverse:
        _copy(images, out, ranked, drawn, kept, channels, strides)
    else:
        _copy(images, out, drawn, ranked, kept, channels, strides)


@triton.jit(do_not_specialize=["per_seed"])
def _shuffle_image(
    images, masks, out, places, keys, seed, offset, per_seed, channels, pixels, strides,
    high_bits: tl.constexpr, low_bits: tl.constexpr, inverse: tl.constexpr,
):  # fmt: skip
    """All three steps for one small image."""
    image = tl.program_id(0)
    images, masks, out, places = _of_image(images, masks, out, places, image, pixels, strides)
    _write_keys(keys, seed, offset, image, per_seed)
    pixel = tl.arange(0, 1 << (high_bits + low_bits))
    outside = _outside(masks, pixel, pixels, strides[7])
    tl.store(places + tl.cumsum(outside.to(tl.int32), 0) - 1, pixel, mask=outside)
    _copy(images, out, pixel, pixel, (pixel < pixels) & (outside == 0), channels, strides)
    # The keys and the list, written by some threads of this program, are read by others.
    tl.debug_barrier()
    number = _bijection(pixel, keys + image * _KEY_WORDS, high_bits, low_bits)
    kept = number < tl.sum(outside.to(tl.int32), 0)
    rank = tl.cumsum(kept.to(tl.int32), 0) - 1
    _move(images, out, places, number, rank, kept, channels, strides, inverse)


@triton.jit(do_not_specialize=["per_seed"])
def _count_tile(
    masks, counts, keys, seed, offset, per_seed, pixels, mask_b, mask_p, tile_size: tl.constexpr
):  # fmt: skip
    """How many outside pixels a tile has; the first tile's program draws the keys besides."""
    image, tile = tl.program_id(0), tl.program_id(1)
    if tile == 0:
        _write_keys(keys, seed, offset, image, per_seed)
    pixel = tile * tile_size + tl.arange(0, tile_size)
    outside = _outside(masks + image.to(tl.int64) * mask_b, pixel, pixels, mask_p)
    tl.store(counts + image * tl.num_programs(1) + tile, tl.sum(outside.to(tl.int32), 0))


@triton.jit
def _before_and_total(counts, image, tile, tiles: tl.constexpr):
    """The sum of the counts of an image's tiles before one of them, and of all of them."""
    index = tl.arange(0, tiles)
    count = tl.load(counts + image * tiles + index)
    return tl.sum(tl.where(index < tile, count, 0), 0), tl.sum(count, 0)


@triton.jit
def _list_tile(
    images, masks, out, places, numbers, counts, kept_counts, keys, channels, pixels, strides,
    high_bits: tl.constexpr, low_bits: tl.constexpr, tiles: tl.constexpr, tile_size: tl.constexpr,
):  # fmt: skip
    """List a tile's outside pixels, copy its inside ones, and draw its share of the bijection."""
    image, tile = tl.program_id(0), tl.program_id(1)
    images, masks, out, places = _of_image(images, masks, out, places, image, pixels, strides)
    before, total = _before_and_total(counts, image, tile, tiles)
    pixel = tile * tile_size + tl.arange(0, tile_size)
    outside = _outside(masks, pixel, pixels, strides[7])
    tl.store(places + before + tl.cumsum(outside.to(tl.int32), 0) - 1, pixel, mask=outside)
    _copy(images, out, pixel, pixel, (pixel < pixels) & (outside == 0), channels, strides)
    number = _bijection(pixel, keys + image * _KEY_WORDS, high_bits, low_bits)
    tl.store(numbers + image.to(tl.int64) * (tiles * tile_size) + pixel, number)
    tl.store(kept_counts + image * tiles + tile, tl.sum((number < total).to(tl.int32), 0))


@triton.jit
def _move_tile(
    images, out, places, numbers, kept_counts, channels, pixels, strides,
    inverse: tl.constexpr, tiles: tl.constexpr, tile_size: tl.constexpr,
):  # fmt: skip
    """Move the pixels of the numbers that a tile has drawn."""
    image, tile = tl.program_id(0), tl.program_id(1)
    images, _, out, places = _of_image(images, images, out, places, image, pixels, strides)
    before, total = _before_and_total(kept_counts, image, tile, tiles)
    index = tile * tile_size + tl.arange(0, tile_size)
    number = tl.load(numbers + image.to(tl.int64) * (tiles * tile_size) + index)
    kept = number < total
    rank = before + tl.cumsum(kept.to(tl.int32), 0) - 1
    _move(images, out, places, number, rank, kept, channels, strides, inverse)


def _empty_like(images: Tensor) -> Tensor:
    """Uninitialised, dense, channels-last where `images` are."""
    layout = torch.contiguous_format
    if not images.is_contiguous() and images.is_contiguous(memory_format=torch.channels_last):
        layout = torch.channels_last
    return torch.empty_like(images, memory_format=layout)


def _bits(pixels: int) -> int:
    """Enough for the numbers 0 .. pixels - 1."""
    return max(_FEWEST_BITS, (pixels - 1).bit_length())


@operator("activmask::masked_shuffle")
def shuffle(images: Tensor, masks: Tensor, seed: Tensor, offset: Tensor, inverse: bool) -> Tensor:
    """Permute the pixels outside each mask as `seed` and `offset` say, or undo that.

    No value of a tensor is read by the host, so that a CUDA graph can capture a call and draw
    fresh permutations at each replay by moving `seed` or `offset` between replays.

    Args:
        images: (B, C, H, W), any dtype of at most 8 bytes, any strides.
        masks: bool (B, 1, H, W), True inside the region of interest.
        seed: int64, one number for as many images each, on the device of `images`.
        offset: int64, as many; each draws permutations of its own.
        inverse: bring every pixel back to where the same call without it took it from.

    Returns:
        (B, C, H, W), a copy; channels-last where `images` are.
    """
    out = _empty_like(images)
    # Values are only moved, so every dtype of one size is the same program.
    integers = _INTEGERS[images.element_size()]
    source, target = images.flatten(2).view(integers), out.flatten(2).view(integers)
    inside = masks.flatten(1).view(torch.uint8)
    launch = _in_one_launch if source.shape[2] <= _LARGEST_IMAGE_OF_ONE_PROGRAM else _in_tiles
    if images.numel():
        with torch.cuda.device_of(images):
            launch(source, inside, target, seed, offset, inverse)
    return out


def _in_one_launch(
    images: Tensor, masks: Tensor, out: Tensor, seed: Tensor, offset: Tensor, inverse: bool
) -> None:
    batch, channels, pixels = images.shape
    bits = _bits(pixels)
    places, keys = _work(images, batch, pixels), _work(images, batch, _KEY_WORDS.value)
    launch(
        _shuffle_image, (batch,),
        images, masks, out, places, keys, seed, offset, batch // seed.numel(), channels, pixels,
        _strides(images, out, masks), bits // 2, bits - bits // 2, inverse, num_warps=4 if bits <= 10 else 8,
    )  # fmt: skip


def _in_tiles(
    images: Tensor, masks: Tensor, out: Tensor, seed: Tensor, offset: Tensor, inverse: bool
) -> None:
    batch, channels, pixels = images.shape
    bits = _bits(pixels)
    tiles = (1 << bits) // _TILE
    places, numbers = _work(images, batch, pixels), _work(images, batch, 1 << bits)
    counts, kept_counts = _work(images, batch, tiles), _work(images, batch, tiles)
    keys = _work(images, batch, _KEY_WORDS.value)
    strides = _strides(images, out, masks)
    grid = (batch, tiles)
    per_seed = batch // seed.numel()
    launch(_count_tile, grid, masks, counts, keys, seed, offset, per_seed, pixels, *strides[6:], _TILE)
    launch(
        _list_tile, grid,
        images, masks, out, places, numbers, counts, kept_counts, keys, channels, pixels, strides,
        bits // 2, bits - bits // 2, tiles, _TILE,
    )  # fmt: skip
    launch(
        _move_tile, grid,
        images, out, places, numbers, kept_counts, channels, pixels, strides, inverse, tiles, _TILE,
    )  # fmt: skip


def _work(like: Tensor, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.int32, device=like.device)


def _strides(images: Tensor, out: Tensor, masks: Tensor) -> tuple[int, ...]:
    """Over batch, channels and pixels of `images` and `out`, over batch and pixels of `masks`."""
    return (*images.stride(), *out.stride(), *masks.stride())


@register_fake("activmask::masked_shuffle")
def _(images: Tensor, *_: object) -> Tensor:
    return _empty_like(images)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, Tensor, bool], output: Tensor) -> None:  # noqa: ARG001
    _, masks, seed, offset, ctx.inverse = inputs
    ctx.save_for_backward(masks, seed, offset)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    masks, seed, offset = ctx.saved_tensors
    return shuffle(gradient, masks, seed, offset, not ctx.inverse), None, None, None, None


register_autograd("activmask::masked_shuffle", _backward, setup_context=_save)


def masked_shuffle(images: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    """The Triton form of `activmask.kernels.masked_shuffle.masked_shuffle`; same arguments and result."""
    seed, offset = _words([generator], images.device)
    shuffled: Tensor = shuffle(images, masks, seed, offset, False)
    return shuffled


def masked_shuffles(images: Tensor, masks: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """The Triton form of `activmask.kernels.masked_shuffle.masked_shuffles`; same arguments and result."""
    seeds, offsets = _words(generators, images.device)
    shuffled: Tensor = shuffle(images.flatten(0, 1), masks.flatten(0, 1), seeds, offsets, False)
    return shuffled.view_as(images)


def _words(generators: Sequence[torch.Generator], device: torch.device) -> tuple[Tensor, Tensor]:
    """A seed and an offset of each, (R,) both."""
    count = len(generators)
    # An even number of eight bytes has both begin aligned: one compiled form serves any number of seeds.
    words = torch.empty(2, count + count % 2, dtype=torch.int64, device=device)[:, :count]
    for own, generator in zip(words.unbind(1), generators, strict=True):
        torch.randint(_WORDS, (2,), generator=generator, out=own)
    return words[0], words[1]
