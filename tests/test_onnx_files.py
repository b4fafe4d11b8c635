"""ONNX files that are written here, run by onnxruntime."""

import sys

import numpy as np
import onnx
import pytest
import torch
from foreign_networks import CLASSES, pictures
from onnx import TensorProto, helper, numpy_helper

from activmask.ground.errors import CheckpointError, UsageError
from activmask.predictors.find import find_predictor
from activmask.predictors.preprocessing import Preprocessing

WEIGHTS = np.array([[2.0, -1.0], [-3.0, 0.5], [1.0, 4.0]], dtype=np.float32)
FLOAT = TensorProto.FLOAT


def written(path, shape, *, soft=True, dtype=FLOAT, axes=(2, 3), more_outputs=(), more_inputs=()):
    """A classifier: the mean of each channel, times `WEIGHTS`, and a softmax."""
    element = helper.tensor_dtype_to_np_dtype(dtype)
    channels = shape[1] if axes == (2, 3) else shape[3]
    rows = WEIGHTS[: channels if isinstance(channels, int) else 3].astype(element)
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["z"]),
        helper.make_node("Softmax", ["z"], ["p"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info(name, dtype, shape) for name in ("images", *more_inputs)],
        [
            helper.make_tensor_value_info("p" if soft else "z", dtype, [shape[0], 2]),
            *(helper.make_tensor_value_info(name, dtype, None) for name in more_outputs),
        ],
        [numpy_helper.from_array(np.array(axes), "axes"), numpy_helper.from_array(rows, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return str(path)


def found(what, images, **said):
    return find_predictor(what, images, **{"class_names": CLASSES, **said})


def expected(images):
    return torch.from_numpy(images.mean((2, 3)).numpy() @ WEIGHTS[: images.shape[1]])


@pytest.mark.parametrize("dtype", [FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16])
def test_a_file_gives_the_logits_of_its_probabilities(tmp_path, dtype):
    images = pictures(9, 3)
    one = found(written(tmp_path / "net.onnx", ["N", 3, "H", "W"], dtype=dtype), images)
    z = expected(images)
    rough = 1e-2 if dtype == TensorProto.FLOAT16 else 1e-4
    torch.testing.assert_close(one.predictor.predict(images).softmax(1), z.softmax(1), rtol=rough, atol=rough)
    assert one.predictor.module is None
    assert one.predictor.outputs == 2
    assert one.predictor.name.endswith("net.onnx")
    logits = found(written(tmp_path / "z.onnx", ["N", 3, "H", "W"], soft=False), images)
    torch.testing.assert_close(logits.predictor.predict(images), z, rtol=1e-4, atol=1e-4)
    assert any("taken as logits" in note for note in logits.notes)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_fixed_batch_size_channels_and_image_are_kept_to_and_told(tmp_path, batch):
    images = pictures(10, 1, 12, 12)
    one = found(written(tmp_path / "net.onnx", [batch, 3, 6, 8], soft=False), images, outputs="logits")
    small = torch.nn.functional.interpolate(images, (6, 8), mode="bilinear", antialias=True)
    torch.testing.assert_close(
        one.predictor.predict(images), expected(small.repeat(1, 3, 1, 1)), rtol=1e-4, atol=1e-4
    )
    assert one.notes[:2] == (
        "Images of 1 channel become the 3 that the file takes.",
        "Images are resized to the 8 x 6 px that the file takes.",
    )


def test_channels_last_is_seen_and_told(tmp_path):
    images = pictures(5, 3)
    path = written(tmp_path / "net.onnx", ["N", 16, 16, 3], soft=False, axes=(1, 2))
    one = found(path, images, outputs="logits")
    torch.testing.assert_close(one.predictor.predict(images), expected(images), rtol=1e-4, atol=1e-4)
    assert one.notes[0] == "The file takes images with channels last."


def test_preprocessing_comes_before(tmp_path):
    images = pictures(5, 3)
    path = written(tmp_path / "net.onnx", ["N", 3, "H", "W"], soft=False)
    one = found(path, images, preprocessing=Preprocessing(mean=(0.5,), std=(0.25,)), outputs="logits")
    torch.testing.assert_close(
        one.predictor.predict(images), expected((images - 0.5) / 0.25), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"shape": ["N", 3]},
            r"is no classifier of images; expected one input .*found images: tensor\(float\)",
        ),
        ({"shape": ["N", 3, "H", "W"], "more_inputs": ("other",)}, "is no classifier of images"),
        ({"shape": ["N", 3, "H", "W"], "more_outputs": ("z",)}, "no one output that could be the scores"),
        ({"shape": ["N", 2, "H", "W"]}, "images of 3 channels cannot become images of 2"),
    ],
)
def test_files_of_other_things_are_told(tmp_path, options, sentence):
    if len(options["shape"]) == 2:
        graph = helper.make_graph(
            [helper.make_node("Identity", ["images"], ["p"])],
            "g",
            [helper.make_tensor_value_info("images", FLOAT, options["shape"])],
            [helper.make_tensor_value_info("p", FLOAT, options["shape"])],
        )
        opsets = [helper.make_opsetid("", 18)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "net.onnx")
    else:
        written(tmp_path / "net.onnx", **options)
    with pytest.raises((CheckpointError, UsageError), match=sentence):
        found(str(tmp_path / "net.onnx"), pictures(4, 3))


def test_what_fails_is_told_once(tmp_path, capfd):
    file = written(tmp_path / "net.onnx", ["N", "C", "H", "W"])
    with pytest.raises(
        CheckpointError, match=r"fails on images of 16 x 16 px with 2 channels; found .*MatMul"
    ):
        found(file, pictures(9, 2))
    assert capfd.readouterr() == ("", "")


def test_files_that_are_broken_or_gone_are_told(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no file .*gone\.onnx"):
        found(str(tmp_path / "gone.onnx"), pictures(4))
    (tmp_path / "bad.onnx").write_bytes(b"not a network")
    with pytest.raises(CheckpointError, match=r"bad\.onnx fails to be read by onnxruntime; found"):
        found(str(tmp_path / "bad.onnx"), pictures(4))
    with pytest.raises(UsageError, match="weights have no effect"):
        found(str(tmp_path / "bad.onnx"), pictures(4), weights="w.safetensors")


def test_without_onnxruntime_its_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r"onnxruntime is not installed; install activmask\[onnx\]"):
        found(str(tmp_path / "net.onnx"), pictures(4))
