from collections import OrderedDict, namedtuple
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from activmask.ground.errors import CheckpointError, UsageError
from activmask.models.returned import scores_in
from activmask.predictors.asked import Asked, read_as
from activmask.predictors.predictions_only import as_tensor
from activmask.predictors.reading import Reading

Pair = namedtuple("Pair", ["logits", "aux_logits"])
TWO = torch.tensor([[1.0, -2.0], [0.5, 3.0]])


@pytest.mark.parametrize(
    "returned",
    [
        TWO,
        TWO[:, :, None, None],
        {"logits": TWO, "loss": None},
        OrderedDict(scores=TWO),
        SimpleNamespace(logits=TWO, hidden_states=None),
        Pair(TWO, TWO + 1),
        (TWO,),
        [{"out": TWO}],
    ],
)
def test_scores_are_found_in_what_networks_return(returned):
    assert torch.equal(scores_in(returned, 2), TWO)


def test_a_batch_of_one_may_be_squeezed_away():
    assert scores_in(torch.tensor(3.0), 1).shape == (1, 1)
    assert scores_in(torch.tensor([3.0]), 1).shape == (1, 1)
    assert scores_in(torch.tensor([3.0, 1.0]), 1).shape == (1, 2)
    assert scores_in(torch.tensor([3.0, 1.0]), 2).shape == (2, 1)


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        ((TWO, TWO), "found a tuple of 2"),
        ({"a": TWO, "b": TWO}, "found a dictionary of a, b"),
        (None, "found nothing"),
        ("yes", "found a str"),
        (TWO.long(), "found int64, as class numbers are"),
        (TWO > 0, "found bool"),
        (TWO[None], r"found \(1, 2, 2\)"),
        (torch.zeros(2, 3, 4, 4), r"expected \(2,\) or \(2, classes\) for 2 images, found \(2, 3, 4, 4\)"),
        (torch.zeros(3, 2), r"found \(3, 2\)"),
        (torch.zeros(2, 0), r"found \(2, 0\)"),
        (torch.tensor(1.0), r"found \(\)"),
    ],
)
def test_anything_else_is_told(returned, sentence):
    with pytest.raises(CheckpointError, match=sentence):
        scores_in(returned, 2)


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        (np.array([None, 1], dtype=object), "found an array of objects"),
        (np.array(["a", "b"]), "found an array of <U1"),
        ([[1.0], [1.0, 2.0]], "rows of different lengths"),
    ],
)
def test_arrays_of_what_are_no_numbers_are_told(returned, sentence):
    with pytest.raises(CheckpointError, match=sentence):
        as_tensor(returned)


def logits(scores, **said):
    said = {"kind": "logits", "multi_label": False, **said}
    return Reading(**said).logits(torch.tensor(scores, dtype=torch.float64), len(scores))


def test_one_logit_stands_for_two_classes():
    assert logits([[2.0], [-1.0]]).tolist() == [[-1.0, 1.0], [0.5, -0.5]]
    assert logits([[2.0], [-1.0]], multi_label=True).tolist() == [[2.0], [-1.0]]


@given(arrays.arrays(np.float64, (3, 4), elements=st.floats(0.01, 1)))
def test_the_softmax_or_sigmoid_gives_back_what_were_probabilities(weights):
    classes = weights / weights.sum(axis=1, keepdims=True)
    found = logits(classes.tolist(), kind="probabilities").softmax(dim=1)
    np.testing.assert_allclose(found, classes, rtol=1e-9)
    labels = weights - 0.005
    found = logits(labels.tolist(), kind="probabilities", multi_label=True).sigmoid()
    np.testing.assert_allclose(found, labels, rtol=1e-9)
    found = logits(labels[:, :1].tolist(), kind="probabilities").softmax(dim=1)
    np.testing.assert_allclose(found[:, 1:], labels[:, :1], rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_sure_probabilities_have_finite_logits_in_their_order(dtype):
    one = torch.tensor([[0.0], [0.5], [1.0]], dtype=dtype)
    found = Reading(kind="probabilities", multi_label=False).logits(one, 3)[:, 1].float()
    assert found.isfinite().all()
    assert found.tolist() == sorted(found.tolist())
    two = Reading(kind="probabilities", multi_label=False).logits(torch.cat([1 - one, one], dim=1), 3)
    assert two.float().isfinite().all()
    assert two.argmax(dim=1)[[0, 2]].tolist() == [0, 1]


def test_probabilities_that_are_none_are_told():
    with pytest.raises(CheckpointError, match=r"numbers from 0 to 1, found -0\.5 to 1\.5"):
        logits([[-0.5, 1.5]], kind="probabilities")
    with pytest.raises(CheckpointError, match=r"add up to 1, found a sum of 1\.5"):
        logits([[0.5, 0.5], [0.9, 0.6]], kind="probabilities")


def test_chosen_outputs_stand_for_the_classes_in_their_order():
    assert logits([[1.0, 2.0, 3.0]], columns=(2, 0)).tolist() == [[3.0, 1.0]]
    found = logits([[0.2, 0.5, 0.3]], kind="probabilities", columns=(2, 0)).softmax(dim=1)
    np.testing.assert_allclose(found, [[0.6, 0.4]])


def read(scores, names=("a", "b"), of_network=True, **said):
    return read_as("net", torch.tensor(scores), Asked(class_names=names, **said), of_network=of_network)


def test_what_outputs_are_is_seen_where_it_is_sure_and_told():
    reading, notes = read([[0.25, 0.75], [0.5, 0.5]])
    assert reading.kind == "probabilities"
    assert notes[0].startswith("The outputs of every image add up to 1")
    reading, notes = read([[-1.0, 2.0]])
    assert reading.kind == "logits"
    assert "logits, before the softmax" in notes[0]
    reading, notes = read([[-1.0]])
    assert "logits, before the sigmoid" in notes[0]
    assert notes[1] == "Its one output speaks for class 1, 'b', where it is high."
    reading, notes = read([[-1.0, 2.0]], of_network=False)
    assert reading.kind == "scores"
    assert "no probabilities" in notes[0]


@pytest.mark.parametrize(
    ("scores", "said"),
    [([[0.2], [0.7]], {}), ([[0.2, 0.3]], {}), ([[0.4, 0.6]], {"multi_label": True})],
)
def test_what_outputs_are_is_asked_where_it_is_not_sure(scores, said):
    with pytest.raises(UsageError, match="which logits and probabilities do alike; say which they are"):
        read(scores, **said)
    assert read(scores, outputs="logits", **said)[0].kind == "logits"


def test_logits_that_look_like_probabilities_are_taken_as_was_said_and_told():
    reading, notes = read([[0.25, 0.75]], outputs="logits")
    assert reading.kind == "logits"
    assert "add up to 1, as probabilities do; they are taken as logits" in notes[0]
    assert "by their number alone: 0 is 'a', 1 is 'b'" in notes[1]
    assert (
        "All outputs lie in [0, 1], as those of a sigmoid do" in read([[0.2], [1.0]], outputs="logits")[1][0]
    )
    assert not any("sigmoid" in note for note in read([[0.2], [1.1]], outputs="logits")[1])


@pytest.mark.parametrize(
    ("scores", "names", "said", "sentence"),
    [
        ([[1.0, 2.0, 3.0]], ("a", "b"), {}, "net has 3 outputs and the data have 2 classes .*class outputs"),
        ([[1.0, 2.0]], ("a", "b", "c"), {}, r"net has 2 outputs and the data have 3 classes \(a, b, c\)"),
        (
            [[1.0]],
            ("a", "b", "c"),
            {},
            "net has one output, which tells two classes apart, and the data have 3",
        ),
        ([[1.0]], ("a", "b"), {"multi_label": True}, "net has 1 outputs and the data have 2 labels"),
    ],
)
def test_outputs_that_do_not_fit_the_classes_are_refused(scores, names, said, sentence):
    with pytest.raises(CheckpointError, match=sentence):
        read(scores, names, **said)


def test_chosen_outputs_have_to_be_there_and_to_fit():
    reading, notes = read([[-1.0, 2.0, 3.0]], class_outputs=(2, 0))
    assert reading.columns == (2, 0)
    assert "2 is 'a', 0 is 'b'" in notes[1]
    assert "among the 2 outputs that were chosen of 3" in notes[2]
    with pytest.raises(UsageError, match="net has the outputs 0 to 0; found class output 1"):
        read([[-1.0]], multi_label=True, class_outputs=(1, 0))
    with pytest.raises(UsageError, match="net has the outputs 0 to 1; found class output 2"):
        read([[-1.0, 2.0]], class_outputs=(2, 0))
    with pytest.raises(UsageError, match="different numbers, from 0 on; found 1, 1"):
        read([[-1.0, 2.0]], class_outputs=(1, 1))
    with pytest.raises(UsageError, match="one output of each of the 2 classes; found 3"):
        read([[-1.0, 2.0, 3.0]], class_outputs=(0, 1, 2))


def test_an_unknown_word_for_outputs_suggests_the_nearest():
    with pytest.raises(UsageError, match="outputs cannot be 'logit'; did you mean 'logits'"):
        Asked(class_names=(), outputs="logit")


def test_one_output_may_speak_for_either_of_two_classes():
    straight, _ = read([[-1.0], [3.0]], outputs="logits")
    turned, notes = read([[-1.0], [3.0]], outputs="logits", class_outputs=(1, 0))
    returned = torch.tensor([[-1.0], [3.0]])
    assert straight.logits(returned, 2).tolist() == [[0.5, -0.5], [-1.5, 1.5]]
    assert turned.logits(returned, 2).tolist() == [[-0.5, 0.5], [1.5, -1.5]]
    assert any("speaks for class 0, 'a'" in note for note in notes)
