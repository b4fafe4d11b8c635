"""The convolution on CUDA: its kernels interpreted, how they are cut, and which form is asked to compute."""

import json
from pathlib import Path

import pytest
import torch
from triton_files import run_cases

from activmask.ground.errors import UsageError
from activmask.kernels.convolution import choice, conv2d, forms, reference
from activmask.kernels.convolution.tiles import product_tiles, weight_tiles
from activmask.kernels.convolution.trial import MOST_PASSES, ROUNDS, Refused, Trial, median_of, tried


@pytest.mark.cuda
@pytest.mark.process
def test_the_triton_form_compiled_where_there_is_cuda_and_interpreted_elsewhere():
    pytest.importorskip("triton")
    run_cases(Path(__file__).with_name("convolution_triton_cases.py"))


@pytest.mark.parametrize(
    ("positions", "channels", "tile"),
    [
        (25_088, 64, (128, 64)),
        (6_272, 128, (128, 128)),
        (1_568, 256, (128, 128)),
        (512, 512, (64, 128)),
        (25_088, 16, (256, 16)),
        (6_272, 32, (128, 32)),
        (288, 128, (32, 64)),
    ],
)
def test_tiles_keep_a_large_device_busy(positions, channels, tile):
    planned = product_tiles(positions, channels, channels, 10, "bf16")
    assert (planned.positions, planned.channels) == tile


def test_the_weight_gradient_of_few_tiles_splits_its_positions():
    planned = weight_tiles(25_088, 64, 64, 9, 10, "bf16")
    # 9 tiles of 10 networks are 90 programs; four for each of 132 multiprocessors are wanted.
    assert planned.splits == 6
    assert planned.splits * planned.positions_per_split >= 25_088
    assert weight_tiles(512, 512, 512, 9, 10, "bf16").splits == 1
    assert weight_tiles(1_568, 256, 256, 9, 10, "bf16").splits == 1


@pytest.mark.parametrize(
    ("channels", "depth", "taps", "spans"),
    [(16, 48, 9, True), (32, 96, 9, True), (64, 32, 9, True), (64, 64, 9, False), (16, 48, 1, False)],
)
def test_in_tf32_a_tile_of_few_channels_reads_a_gradient_for_several_taps(channels, depth, taps, spans):
    planned = weight_tiles(6_272, channels, depth, taps, 10, "tf32")
    assert planned.spans_taps == spans
    assert not weight_tiles(6_272, channels, depth, taps, 10, "bf16").spans_taps


@pytest.mark.parametrize("precision", ["bf16", "tf32", "ieee"])
@pytest.mark.parametrize("positions", [1, 7, 100, 30_000])
@pytest.mark.parametrize("depth", [1, 15, 16, 100, 512])
def test_every_position_is_in_one_part(positions, depth, precision):
    planned = weight_tiles(positions, 24, depth, 49, 3, precision)
    assert (planned.splits - 1) * planned.positions_per_split < positions
    assert planned.splits * planned.positions_per_split >= positions
    assert planned.positions_per_split % planned.positions == 0


@pytest.mark.parametrize("needed", [1, 3, 8, MOST_PASSES])
def test_rounds_that_waited_for_the_host_do_not_count(needed):
    asked = []

    def timed(passes):
        asked.append(passes)
        in_time = passes >= needed
        return (float(len(asked)) if in_time else 1e6), in_time

    kept = median_of(timed)
    assert kept < 1e6
    # No longer than it takes, up to the doubling, and then no more than the rounds that count.
    assert max(asked) < 2 * needed
    assert asked[-ROUNDS:] == [max(asked)] * ROUNDS
    assert len(set(asked)) == len(asked) - ROUNDS + 1


def test_a_round_that_comes_late_once_is_taken_anew():
    late = iter([True, False, True, True])
    times = iter([5.0, 1e6, 7.0, 6.0])
    assert median_of(lambda _passes: (next(times), next(late))) == 6


def test_a_call_that_waits_for_the_device_is_timed_with_its_waiting():
    asked = []
    assert median_of(lambda passes: (float(asked.append(passes) or 3), False)) == 3
    assert max(asked) == MOST_PASSES
    assert asked.count(MOST_PASSES) == ROUNDS


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {"ACTIVMASK_CACHE": str(folder), **more}


def never() -> Trial:
    raise AssertionError("a shape that is known was tried")


def test_the_quicker_form_is_chosen_once_and_remembered(tmp_path):
    tries = []

    def trial(ours: float) -> Trial:
        tries.append(ours)
        return Trial(ours, 10.0)

    first = choice.new_choices("device, torch 2", environment(tmp_path))
    assert first.is_ours("small", lambda: trial(4.0), may_try=True)
    assert first.is_ours("small", never, may_try=True)
    assert not first.is_ours("large", lambda: trial(12.0), may_try=True)
    assert tries == [4.0, 12.0]
    again = choice.new_choices("device, torch 2", environment(tmp_path))
    assert again.is_ours("small", never, may_try=False)
    assert not again.is_ours("large", never, may_try=True)
    # Other versions, other times.
    other = choice.new_choices("device, torch 3", environment(tmp_path))
    assert not other.is_ours("small", lambda: trial(11.0), may_try=True)
    stored = json.loads((tmp_path / choice.FILE).read_text())
    assert stored["device, torch 2"]["small"] == {"triton": 4.0, "library": 10.0}
    assert set(stored) == {"version", "device, torch 2", "device, torch 3"}
    assert [path.name for path in tmp_path.iterdir()] == [choice.FILE]


def test_while_a_graph_is_captured_nothing_is_tried(tmp_path):
    choices = choice.new_choices("device", environment(tmp_path))
    assert not choices.is_ours("small", never, may_try=False)
    assert choices.is_ours("small", lambda: Trial(1.0, 2.0), may_try=True)


def test_what_cannot_be_used_is_told_in_one_sentence_and_the_library_computes(tmp_path, caplog):
    choices = choice.new_choices("device", environment(tmp_path))

    def trial() -> Trial:
        raise Refused("CompilationError: no such instruction")

    assert not choices.is_ours("small", trial, may_try=True)
    assert not choices.is_ours("large", trial, may_try=True)
    assert not choices.is_ours("small", never, may_try=True)
    [record] = caplog.records
    assert record.name.startswith("activmask.")
    assert "(CompilationError: no such instruction), so cuDNN computes it" in record.getMessage()
    assert not (tmp_path / choice.FILE).exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff",
        b"[1]",
        b'{"version": 3, "device": 7}',
        b'{"version": 3, "device": {"small": {"triton": "quick", "library": 1}}}',
        b'{"version": 3, "device": {"small": {"triton": -1, "library": 1}}}',
        b'{"version": 3, "device": {"small": {"triton": true}}}',
        b'{"version": 0, "device": {"small": {"triton": 1, "library": 2}}}',
        b'{"version": 3, "device": {"small": {"triton": NaN, "library": NaN}}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_is_as_none_and_is_replaced(content, tmp_path):
    (tmp_path / choice.FILE).write_bytes(content)
    choices = choice.new_choices("device", environment(tmp_path))
    assert choices.known == {}
    assert choices.is_ours("small", lambda: Trial(1.0, 2.0), may_try=True)
    assert choice.new_choices("device", environment(tmp_path)).known == {"small": True}


def test_a_folder_that_cannot_be_written_costs_nothing_else(tmp_path):
    (tmp_path / "file").write_text("in the way")
    choices = choice.new_choices("device", environment(tmp_path / "file" / "below"))
    assert choices.is_ours("small", lambda: Trial(1.0, 2.0), may_try=True)


def test_one_form_can_be_asked_for(tmp_path):
    library = choice.new_choices("device", environment(tmp_path, ACTIVMASK_CONVOLUTION="library"))
    assert not library.is_ours("small", never, may_try=True)
    triton = choice.new_choices("device", environment(tmp_path, ACTIVMASK_CONVOLUTION="triton"))
    assert triton.is_ours("small", lambda: Trial(9.0, 1.0), may_try=True)
    with pytest.raises(UsageError, match="must be one of auto, triton, library; found cudnn"):
        choice.new_choices("device", environment(tmp_path, ACTIVMASK_CONVOLUTION="cudnn"))


def test_a_form_that_computes_something_else_is_refused():
    right = torch.ones(4)
    with pytest.raises(Refused, match=r"differs from the library's by 0\.5"):
        tried(lambda: right * 1.5, lambda: right, 0.01, timer=lambda _: 1.0)
    with pytest.raises(Refused, match="differs"):
        tried(lambda: right * float("nan"), lambda: right, 0.01, timer=lambda _: 1.0)


def test_a_form_that_fails_is_refused_with_its_words():
    def failing() -> torch.Tensor:
        raise RuntimeError("out of\n  resources")

    with pytest.raises(Refused, match="RuntimeError: out of resources"):
        tried(failing, lambda: torch.ones(4), 0.01, timer=lambda _: 1.0)


@pytest.mark.parametrize("wrong", [0, 1])
def test_of_several_results_each_has_to_agree(wrong):
    right = torch.full((4,), 100.0), torch.ones(2)
    near = tuple(each * (1.5 if k == wrong else 1) for k, each in enumerate(right))
    assert tried(lambda: right, lambda: right, 0.01, timer=lambda _: 3.0) == Trial(3.0, 3.0)
    with pytest.raises(Refused, match=r"its result differs from the library's by 0\.5"):
        tried(lambda: near, lambda: right, 0.01, timer=lambda _: 3.0)


def test_where_the_library_refuses_ours_is_the_quicker_if_it_agrees_with_torch_without_it():
    def theirs() -> torch.Tensor:
        if torch.backends.cudnn.enabled:
            raise RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED")
        return torch.ones(4)

    trial = tried(lambda: torch.ones(4), theirs, 0.01, timer=lambda _: 3.0)
    assert trial.ours == 3.0 < trial.theirs
    assert torch.backends.cudnn.enabled
    with pytest.raises(Refused, match="differs"):
        tried(lambda: torch.zeros(4), theirs, 0.01, timer=lambda _: 3.0)


def test_both_forms_are_timed():
    one, other = torch.ones(4), torch.ones(4)
    times = {one.data_ptr(): 3.0, other.data_ptr(): 5.0}
    trial = tried(lambda: one, lambda: other, 0.01, timer=lambda call: times[call().data_ptr()])
    assert trial == Trial(3.0, 5.0)


def last(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.ones(shape, dtype=dtype).contiguous(memory_format=torch.channels_last)


def test_what_triton_takes():
    images, weight, how = last(2, 8, 5, 5), last(6, 4, 3, 3), ((1, 1), (1, 1), (1, 1))
    assert forms.takes(images, weight, None, *how)
    assert forms.takes(images.bfloat16(), weight.bfloat16(), torch.ones(6).bfloat16(), *how)
    assert not forms.takes(images, weight, torch.ones(6).double(), *how)
    assert not forms.takes(images.double(), weight.double(), None, *how)
    assert not forms.takes(images.contiguous(), weight.contiguous(), None, *how)
    assert not forms.takes(images, weight, None, (1, 1), (1, 1), (2, 1))
    assert not forms.takes(images[:0], weight, None, *how)
    huge = torch.empty(1, device="meta").expand(2**16, 8, 2**9, 2**9)
    assert not forms.takes(huge, weight, None, *how)


def test_a_shape_names_all_that_its_time_depends_on():
    images, weight = last(2, 8, 5, 6), last(6, 4, 3, 3)
    words = forms.shape_of("conv2d", images, weight, torch.ones(6), (2, 1), (1, 0), 2, "bf16")
    assert words == ("conv2d bf16 2x8x5x6 with 6x4x3x3 channels last bias, stride 2x1, padding 1x0, groups 2")
    words = forms.shape_of(
        "data_gradient", images, weight.contiguous(), [2, 4, 5, 6], (1, 1), (1, 1), 1, "tf32"
    )
    assert "channels first to 2x4x5x6" in words


def test_on_a_cpu_the_reference_runs_and_nothing_is_asked(monkeypatch):
    monkeypatch.setattr(forms, "choices_of", never)
    images, weight = last(2, 8, 5, 5), last(6, 4, 3, 3)
    how = (1, 1), (1, 1), (1, 1), 2
    assert torch.equal(
        conv2d(images, weight, padding=(1, 1), groups=2), reference.conv2d(images, weight, None, *how)
    )
