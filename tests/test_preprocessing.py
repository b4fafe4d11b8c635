import pytest
import torch
from foreign_networks import pictures
from hypothesis import given
from hypothesis import strategies as st

from activmask.ground.errors import CheckpointError, UsageError
from activmask.predictors.preprocessing import Prepare, Preprocessing, prepared_by


def prepare(images, **said):
    return Prepare(Preprocessing(**said), images.shape[1])(images)


def test_scale_comes_first_then_mean_and_std():
    images = torch.tensor([[[[0.0, 0.5], [0.75, 1.0]]]])
    # (255 x - 51) / 102 of each
    expected = torch.tensor([[[[-0.5, 0.75], [1.375, 2.0]]]])
    torch.testing.assert_close(prepare(images, scale=255, mean=(51.0,), std=(102.0,)), expected)


def test_each_channel_has_its_own_mean_and_std():
    images = torch.tensor([[[[0.5]], [[0.5]], [[0.5]]]])
    found = prepare(images, mean=(0.5, 0.0, 1.0), std=(1.0, 0.25, 0.5))
    assert found.flatten().tolist() == [0.0, 2.0, -1.0]


def test_grey_is_repeated_and_colour_becomes_its_luminance():
    grey = pictures(2)
    assert torch.equal(prepare(grey, channels=3), grey.repeat(1, 3, 1, 1))
    colour = torch.tensor([[[[1.0]], [[0.5]], [[0.0]]]])
    assert prepare(colour, channels=1).item() == pytest.approx(0.299 + 0.587 / 2)
    white = torch.ones(1, 3, 2, 2)
    torch.testing.assert_close(prepare(white, channels=1), torch.ones(1, 1, 2, 2))


def test_colours_that_are_repeated_take_the_mean_and_std_of_each():
    assert prepare(
        torch.full((1, 1, 1, 1), 0.5), channels=3, mean=(0, 0.5, 1), std=(1, 1, 1)
    ).flatten().tolist() == [
        0.5,
        0.0,
        -0.5,
    ]


def test_size_is_a_side_or_height_and_width():
    images = pictures(2, height=8, width=6)
    assert prepare(images, size=4).shape == (2, 1, 4, 4)
    assert prepare(images, size=(4, 12)).shape == (2, 1, 4, 12)
    assert torch.equal(prepare(images, size=(8, 6)), images)


def test_halving_weighs_the_pixels_within_two_by_a_tent():
    images = torch.tensor([0.0, 1.0, 0.0, 1.0]).expand(1, 1, 4, 4)
    # The middles of the output lie at 1 and 3, those of the input at 0.5 to 3.5: weights 3 3 1 and 1 3 3.
    torch.testing.assert_close(prepare(images, size=2)[0, 0, 0], torch.tensor([3 / 7, 4 / 7]))


@given(
    st.sampled_from([(1, None), (1, 3), (3, 1), (3, 3)]),
    st.sampled_from([None, 3, 7, (9, 4)]),
    st.sampled_from([None, 2.0, -255.0]),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_gradients_are_those_of_finite_differences(channels, size, scale, normalised, seed):
    given_channels, wanted = channels
    statistics = {"mean": (0.4,), "std": (0.3,)} if normalised else {}
    steps = Prepare(
        Preprocessing(channels=wanted, size=size, scale=scale, **statistics), given_channels
    ).double()
    images = pictures(1, given_channels, 5, 6, seed=seed).double().requires_grad_()
    assert torch.autograd.gradcheck(steps, (images,))


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"mean": (0.5,)}, "mean and std come together"),
        ({"std": (0.5,)}, "mean and std come together"),
        ({"mean": (0.5,), "std": (0.0,)}, "std must be above 0; found 0"),
        ({"mean": (float("nan"),), "std": (1.0,)}, "finite"),
        ({"size": 0}, "size must be at least 1 px; found 0"),
        ({"size": (4, -1)}, "size must be at least 1 px"),
        ({"scale": 0.0}, "scale must be a finite number other than 0"),
        ({"scale": float("inf")}, "scale must be"),
        ({"channels": 0}, "channels must be at least 1"),
        ({"function": torch.log, "size": 3, "mean": (0.0,), "std": (1.0,)}, "leave out size, mean, std"),
    ],
)
def test_what_contradicts_itself_is_refused(said, sentence):
    with pytest.raises(UsageError, match=sentence):
        Preprocessing(**said)


def test_channels_and_statistics_have_to_fit_the_images():
    with pytest.raises(UsageError, match="images of 1 channel cannot become images of 2"):
        Prepare(Preprocessing(channels=2), 1)
    with pytest.raises(UsageError, match="mean takes one number, or one of each of 1 channels"):
        Prepare(Preprocessing(mean=(0.1, 0.2, 0.3), std=(1.0,)), 1)


def test_a_function_stands_for_all_steps():
    images = pictures(1)
    steps, first = prepared_by(Preprocessing(function=lambda x: 2 * x - 1), images, "net")
    assert torch.equal(first, 2 * images - 1)
    assert torch.equal(steps(images), first)


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda x: x.numpy(), "found a ndarray"),
        (lambda x: x.mean(), r"found \(\)"),
        (lambda x: x[0], r"found \(1, 16, 16\)"),
        (
            lambda x: x.nothing,
            "net fails to prepare images of 16 x 16 px with 1 channel; found AttributeError",
        ),
    ],
)
def test_a_function_that_returns_no_images_is_told(function, sentence):
    with pytest.raises(CheckpointError, match=sentence):
        prepared_by(Preprocessing(function=function), pictures(1), "net")


def test_the_steps_are_told_in_words():
    how = Preprocessing(channels=3, size=(48, 192), scale=255, mean=(0.5,), std=(0.25, 0.5, 1))
    assert (
        how.in_words() == "3 channels, resized to 192 x 48 px, multiplied by 255, mean 0.5, std 0.25, 0.5, 1"
    )
