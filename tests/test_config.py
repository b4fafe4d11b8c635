import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activmask.data.sources.presets import presets
from activmask.ground.errors import ConfigError, UsageError
from activmask.ground.nearest import nearest
from activmask.ground.settings import declared
from activmask.objectives.chosen import needs
from activmask.runs.description import RunConfig, all_settings, compose, flat, panels
from activmask.runs.making import make_config, written_config
from activmask.runs.names import baseline, method_name, run_name
from activmask.runs.optimisation import Optimisation
from activmask.runs.toml_file import format_config, format_seeds, parse_seeds, read_config

MSD = {
    "image_size": 100,
    "train_images": 128,
    "valid_images": 256,
    "test_images": 256,
    "epochs": 500,
    "batch_size": 32,
    "augment": "crop-flip",
    "recon_loss": "mse",
    "split_policy": "subject",
    "split_ratio": "30/30/40",
    "mask": "file",
    "evaluate_view": "whole",
}
PAPER: dict[str, dict[str, Any]] = {
    "synthetic": {
        "epochs": 500,
        "batch_size": 32,
        "augment": "none",
        "recon_loss": "bce",
        "mask": "file",
        "mask_blur": 0.5,
        "lr": 1e-4,
        "split_policy": "given",
    },
    "liver": {**MSD, "mask_blur": 16.0, "lr": 1e-4},
    "cardiac": {**MSD, "mask_blur": 8.0, "lr": 4e-3},
    "pancreas": {**MSD, "mask_blur": 16.0, "lr": 1e-4},
    "xray": {
        "image_size": 128,
        "epochs": 100,
        "batch_size": 32,
        "augment": "none",
        "mask": "circle",
        "lr": 1e-3,
        "split_policy": "site-correlated",
        "split_ratio": "50/25/25",
    },
}


@pytest.mark.parametrize("preset", PAPER)
def test_presets_hold_the_papers_values(preset):
    config = make_config(preset=preset)
    assert {name: config[name] for name in PAPER[preset]} == PAPER[preset]
    assert config.network.model == "resnet18"
    assert config.network.width == 64


def test_there_is_no_preset_beside_the_papers():
    assert set(presets()) == set(PAPER)


@pytest.mark.parametrize(
    ("preset", "width", "recon"),
    [("synthetic", 16, 10.0), ("liver", 64, 1.0), ("cardiac", 64, 1.0), ("pancreas", 64, 1.0)],
)
def test_convnets_start_at_the_papers_width_and_autoencoders_reconstruct(preset, width, recon):
    for model in ("cnn", "ae", "unet"):
        config = make_config(preset=preset, model=model)
        assert config.network.width == width
        assert config["recon"] == (0.0 if model == "cnn" else recon)
    resnet = make_config(preset=preset)
    assert (resnet.network.width, resnet["recon"]) == (64, 0.0)


def test_the_default_penalties_are_off_and_the_masks_all_kept():
    config = make_config()
    assert not any(
        (config["actdiff"], config["gradmask"], config["rrr"], config["adversarial"], config["cutout"])
    )
    assert config.view.masks == 1
    assert config == make_config(preset="synthetic")


@pytest.mark.parametrize("preset", PAPER)
def test_settings_win_over_the_preset(preset):
    chosen = {"lr": 0.5, "epochs": 3, "width": 5, "recon": 2.5, "mask_blur": 1.5, "data": "elsewhere"}
    config = make_config(preset=preset, model="unet", mask="file", **chosen)
    assert (config.training.lr, config.training.epochs, config.network.width, config["recon"]) == (
        0.5,
        3,
        5,
        2.5,
    )
    assert (config.view.mask_blur, config.source.data, config.preset) == (1.5, "elsewhere", preset)
    assert config.training.batch_size == PAPER[preset]["batch_size"]


def test_a_setting_equal_to_the_general_default_still_wins():
    assert make_config(preset="liver", model="unet", recon=0.0, width=64, augment="none")["recon"] == 0
    assert make_config(preset="cardiac", lr=1e-4).training.lr == 1e-4


@pytest.mark.parametrize("preset", PAPER)
@pytest.mark.parametrize(
    "chosen",
    [
        {"split_policy": "given"},
        {"data": "synthetic"},
        {"mask": "circle"},
        {"model": "cnn"},
        {"model": "unet", "recon": 0.0},
    ],
    ids=str,
)
def test_a_presets_own_values_may_be_idle(preset, chosen):
    config = make_config(preset=preset, **chosen)
    assert make_config(**flat(config)) == config


def test_what_an_earlier_version_wrote_is_read_as_it_was():
    idle = {"train_images": 9, "data": "synthetic", "split_ratio": "60/20/20", "mask": "circle"}
    with pytest.raises(UsageError, match="has no effect"):
        make_config(**idle)
    before = flat(compose({**idle, "preset": "liver"}))
    assert written_config(before) == compose(before)
    for wrong, reason in (
        ({"epoch": 3}, "no setting 'epoch'"),
        ({"epochs": "3"}, "epochs must be of type int"),
        ({"preset": "lung"}, "no preset 'lung'"),
    ):
        with pytest.raises(UsageError, match=reason):
            written_config({**before, **wrong})


def test_a_run_from_before_the_evaluate_view_saw_the_middle():
    before = flat(make_config(preset="liver"))
    assert before.pop("evaluate_view") == "whole"
    assert written_config(before).view.evaluate_view == "centre"


def test_a_written_description_takes_nothing_from_a_preset():
    assert written_config({"preset": "liver", "lr": 0.1}) == compose({"preset": "liver", "lr": 0.1})


def test_a_description_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_config().training.lr = 1.0  # type: ignore[misc]


PENALTIES = ("actdiff", "gradmask", "rrr", "adversarial")
CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"lr": 0.0}, "lr is 0: nothing would be learned"),
    ({"masks": 1.1, "actdiff": 1.0}, "masks must be from 0 to 1; found 1.1"),
    ({"correlation": 2.0}, "correlation must be from 0 to 1; found 2.0"),
    ({"correlation": 0.5}, "belongs to the split policy site-correlated"),
    (
        {"preset": "xray", "correlation": 0.5, "data": "synthetic"},
        "belongs to the split policy site-correlated of a data set folder",
    ),
    *(
        ({"data": "synthetic", **chosen}, f"{next(iter(chosen))} has no effect on data synthetic")
        for chosen in (
            {"split_policy": "subject"},
            {"train_images": 100},
            {"valid_images": 100},
            {"test_images": 100},
        )
    ),
    ({"split_ratio": "60/20/20"}, "split_ratio has no effect where no split is drawn"),
    ({"data": "synthetic", "split_ratio": "60/20/20"}, "split_ratio has no effect where no split is drawn"),
    (
        {"preset": "liver", "split_policy": "given", "split_ratio": "60/20/20"},
        "split_ratio has no effect where no split is drawn",
    ),
    ({"split_seed": 3}, "split_seed has no effect while split_policy given takes every image"),
    ({"mask": "circle", "mask_blur": 2.0}, "mask_blur has no effect on circles"),
    ({"preset": "xray", "mask_blur": 2.0}, "mask_blur has no effect on circles"),
    ({"recon_loss": "mse"}, "recon_loss has no effect without a reconstruction"),
    ({"preset": "liver", "recon_loss": "bce"}, "recon_loss has no effect without a reconstruction"),
    ({"model": "cnn", "recon_loss": "mse"}, "recon_loss has no effect without a reconstruction"),
    ({"model": "ae", "recon": 0.0, "recon_loss": "mse"}, "recon_loss has no effect without"),
    ({"evaluate_view": "whole"}, "evaluate_view has no effect while image_size is 0"),
    ({"head": "released", "model": "unet"}, "head has no effect on networks other than ResNets"),
    ({"head": "released", "model": "densenet121"}, "head has no effect on networks other than ResNets"),
    ({"masked_fill": "grey"}, "masked_fill has no effect while classify_masked is off"),
    ({"masked_fill": "grey", "actdiff": 1.0}, "masked_fill has no effect while classify_masked is off"),
    ({"model": "unet", "sync_batchnorm": True}, "sync_batchnorm has no effect on cnn, ae"),
    *(
        ({"split_policy": "subject", "split_ratio": ratio}, "split_ratio must be three positive shares")
        for ratio in ("50/50", "50/25/20", "a/b/c", "100/0/0", "", "-10/60/50", "nan/50/50", "inf/1/1")
    ),
    ({"split_ratio": "nonsense"}, "split_ratio must be three positive shares that sum to 100"),
    ({"adversarial": 1.0, "adversarial_lr": 0.0}, "the discriminator would not learn"),
    ({"classify_masked": "train", "classify_shuffled": True}, "both replace the training images; choose one"),
    *(
        ({**control, penalty: 1.0}, "act on the surroundings, cannot go with them")
        for control in ({"classify_masked": "train"}, {"classify_masked": "all"}, {"classify_shuffled": True})
        for penalty in PENALTIES
    ),
    ({"recon": 1.0}, "resnet18 has no decoder, so it cannot reconstruct"),
    ({"model": "cnn", "recon": 1.0}, "cnn has no decoder"),
    ({"recon_masked": True}, "recon_masked needs a reconstruction"),
    ({"model": "unet", "recon": 0.0, "recon_masked": True}, "recon_masked needs a reconstruction"),
    (
        {"model": "ae", "recon_masked": True, "classify_masked": "train"},
        "act on the surroundings, cannot go with them",
    ),
    (
        {"model": "ae", "recon_masked": True, "classify_shuffled": True},
        "act on the surroundings, cannot go with them",
    ),
    ({"compile": True, "gradmask": 1.0}, "compile cannot differentiate twice"),
    ({"compile": True, "rrr": 1.0}, "compile cannot differentiate twice"),
    ({"augment": "crop-flip"}, "crop-flip needs image_size"),
    ({"masks": 0.5}, "masks has no effect: no objective of this run looks at masks"),
    ({"masks": 0.5, "model": "unet"}, "masks has no effect"),
    (
        {"actdiff": 1.0, "actdiff_layers": "pooled", "actdiff_norm": "layer"},
        "actdiff_norm has no effect while actdiff is 0; give actdiff a weight, and other layers than pooled",
    ),
    ({"actdiff": 1.0, "actdiff_layers": "pooled", "actdiff_at": "post"}, "actdiff_at has no effect"),
    ({"adversarial_form": "followup"}, "adversarial_form has no effect while adversarial is 0"),
    ({"actdiff_norm": "layer"}, "actdiff_norm has no effect while actdiff is 0"),
    ({"actdiff_at": "post"}, "actdiff_at has no effect while actdiff is 0"),
    ({"actdiff_layers": "last"}, "actdiff_layers has no effect while actdiff is 0"),
    ({"actdiff_detach": True}, "actdiff_detach has no effect while actdiff is 0"),
    ({"gradmask_norm": "l1"}, "gradmask_norm has no effect while gradmask is 0"),
    ({"gradmask_target": "positive", "actdiff": 1.0}, "gradmask_target has no effect while gradmask is 0"),
    ({"adversarial_steps": 2}, "adversarial_steps has no effect while adversarial is 0"),
    ({"adversarial_lr": 0.1}, "adversarial_lr has no effect while adversarial is 0"),
]


@pytest.mark.parametrize(("wrong", "reason"), CONTRADICTIONS, ids=str)
def test_settings_that_contradict_or_cannot_act_are_refused(wrong, reason):
    with pytest.raises(UsageError) as caught:
        make_config(**wrong)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "right",
    [
        {"train_images": 10, "valid_images": 10, "test_images": 10},
        {"data": "synthetic", "split_seed": 3},
        {"split_policy": "subject", "split_seed": 3, "split_ratio": "60/20/20", "test_images": 4},
        {"train_images": 10, "split_seed": 3},
        {"preset": "xray", "correlation": 0.5, "split_ratio": "60/20/20"},
        {"preset": "xray", "mask": "file", "mask_blur": 2.0},
        {"mask": "circle", "mask_blur": 0.0},
        {"model": "unet", "recon_loss": "mse"},
        {"sync_batchnorm": True},
        {"image_size": 24, "evaluate_view": "whole"},
        {"head": "released"},
        {"head": "released", "model": "wide_resnet50_2"},
        {"classify_masked": "all", "masked_fill": "grey"},
        {"masks": 0.5, "actdiff": 1.0},
        {"masks": 0.5, "gradmask": 1.0},
        {"masks": 0.5, "rrr": 1.0},
        {"masks": 0.5, "adversarial": 1.0},
        {"masks": 0.5, "classify_masked": "train"},
        {"masks": 0.5, "classify_shuffled": True},
        {"masks": 0.5, "model": "unet", "recon_masked": True},
        {"masks": 0.0, "actdiff": 1.0},
        {"classify_masked": "train", "model": "unet"},
        {"augment": "crop-flip", "image_size": 24},
        {"compile": True, "actdiff": 1.0},
        {"actdiff": 1.0, "actdiff_norm": "layer", "actdiff_at": "post", "actdiff_layers": "last"},
        {"gradmask": 1.0, "gradmask_norm": "l1", "gradmask_target": "positive"},
        {"adversarial": 1.0, "adversarial_steps": 5, "adversarial_lr": 0.1},
    ],
    ids=str,
)
def test_the_same_settings_are_taken_where_they_act(right):
    config = make_config(**right)
    assert {name: config[name] for name in right} == right


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"epochs": 1.5}, "epochs must be of type int; found 1.5"),
        ({"epochs": True}, "epochs must be of type int; found True"),
        ({"epochs": "10"}, "epochs must be of type int; found '10'"),
        ({"epochs": 0}, "epochs must be from 1 to 1,000,000,000; found 0"),
        ({"batch_size": 0}, "batch_size must be from 1 to 1,000,000,000; found 0"),
        ({"width": 0}, "width must be from 1 to 65,536; found 0"),
        ({"split_seed": -2}, "split_seed must be from -1 to 9,223,372,036,854,775,807; found -2"),
        ({"lr": "fast"}, "lr must be of type float; found 'fast'"),
        ({"lr": True}, "lr must be of type float; found True"),
        ({"lr": None}, "lr must be of type float; found None"),
        ({"lr": float("nan")}, "lr must be finite; found nan"),
        ({"actdiff": float("inf")}, "actdiff must be finite; found inf"),
        ({"actdiff": -1}, "actdiff must be from 0 to 1e+30; found -1"),
        ({"compile": 1}, "compile must be of type bool; found 1"),
        ({"model": 18}, "model must be of type str; found 18"),
        ({"actdiff_norm": "rows"}, "actdiff_norm must be one of layer, channel, row; found 'rows'"),
        ({"device": ["cpu"]}, "device must be one of auto, cpu, cuda, mps; found ['cpu']"),
    ],
    ids=str,
)
def test_a_value_of_the_wrong_kind_is_refused_by_name(wrong, reason):
    with pytest.raises(UsageError) as caught:
        make_config(**wrong)
    assert str(caught.value) == reason


def test_no_amount_can_be_negative():
    amounts = [one.name for one in all_settings().values() if one.kind in {int, float}]
    assert len(amounts) > 20
    for name in amounts:
        with pytest.raises(UsageError, match=f"{name} must be from"):
            make_config(**{name: -2})


def test_an_unknown_setting_is_refused_with_the_nearest():
    with pytest.raises(
        UsageError, match=r"no setting 'gradmsk'; did you mean 'gradmask'\?.*Known: preset, data"
    ):
        make_config(gradmsk=1.0)


def test_an_unknown_preset_is_refused_with_the_nearest():
    with pytest.raises(
        UsageError, match=r"no preset 'livre'; did you mean 'liver'\? Known: synthetic, liver"
    ):
        make_config(preset="livre")


def test_nothing_is_suggested_for_a_name_that_is_far_from_all():
    assert nearest("zzz", ["unet", "cnn"]) == "Known: unet, cnn"
    assert nearest("umet", ["unet", "cnn"]) == "did you mean 'unet'? Known: unet, cnn"


def test_every_setting_has_a_help_text_a_group_and_a_default():
    named = {"Data", "Model", "Objective", "Training", "Optimisation", "Groups", "Machine"}
    assert set(panels().values()) == named
    assert panels().keys() == all_settings().keys()
    for name, known in all_settings().items():
        assert known.help.endswith("."), name
        assert known.default is not dataclasses.MISSING


@pytest.mark.parametrize(
    ("chosen", "shuffles", "masks"),
    [
        ({}, False, False),
        ({"cutout": 4}, False, False),
        ({"model": "unet"}, False, False),
        ({"actdiff": 1.0}, True, True),
        ({"adversarial": 1.0}, True, True),
        ({"classify_shuffled": True}, True, True),
        ({"model": "unet", "recon_masked": True}, True, True),
        ({"gradmask": 1.0}, False, True),
        ({"rrr": 1.0}, False, True),
        ({"classify_masked": "train"}, False, True),
    ],
    ids=str,
)
def test_which_runs_shuffle_and_which_look_at_masks(chosen, shuffles, masks):
    config = make_config(**chosen)
    assert (needs(config.objectives).shuffled, needs(config.objectives).masks) == (shuffles, masks)


@pytest.mark.parametrize(
    ("chosen", "name"),
    [
        ({}, "synthetic-resnet18"),
        ({"actdiff": 10.0}, "synthetic-resnet18-actdiff10"),
        ({"actdiff": 10, "gradmask": 0.1}, "synthetic-resnet18-actdiff10-gradmask0.1"),
        (
            {"actdiff": 1.0, "actdiff_norm": "layer", "masks": 0.25},
            "synthetic-resnet18-actdiff1-layer-masks0.25",
        ),
        ({"preset": "liver", "model": "unet", "recon_masked": True}, "liver-unet-recon-masked"),
        ({"model": "unet", "width": 8, "classify_masked": "train"}, "synthetic-unetw8-classify-masked"),
        ({"preset": "xray", "classify_masked": "all"}, "xray-resnet18-classify-masked-all"),
        (
            {"classify_masked": "all", "masked_fill": "grey", "head": "released"},
            "synthetic-resnet18-released-head-classify-masked-all-grey",
        ),
        ({"preset": "xray", "actdiff": 1.0, "correlation": 0.5}, "xray-resnet18-actdiff1-correlation0.5"),
        ({"model": "unet", "actdiff": 10.0}, "synthetic-unet-actdiff10"),
        ({"model": "unet", "actdiff": 10.0, "actdiff_norm": "row"}, "synthetic-unet-actdiff10-row"),
        (
            {"model": "unet", "actdiff": 10.0, "actdiff_norm": "row", "actdiff_at": "pre"},
            "synthetic-unet-actdiff10-row-pre",
        ),
    ],
)
def test_a_runs_name_says_what_sets_it_apart(chosen, name):
    assert run_name(make_config(**chosen)) == name


def form(config: RunConfig) -> tuple[str, str]:
    return config["actdiff_norm"], config["actdiff_at"]


def test_actdiff_is_computed_in_the_form_that_was_measured_best_for_each_network():
    for model in ("cnn", "ae", "unet"):
        assert form(make_config(model=model, actdiff=1.0)) == ("channel", "post")
        for chosen in (("row", "pre"), ("row", "post"), ("layer", "pre")):
            settings = dict(zip(("actdiff_norm", "actdiff_at"), chosen, strict=True))
            assert form(make_config(model=model, actdiff=1.0, **settings)) == chosen
    assert form(make_config(model="resnet18", actdiff=1.0)) == ("row", "pre")
    assert form(make_config(model="vgg11", actdiff=1.0)) == ("row", "pre")


@pytest.mark.parametrize("model", ["cnn", "ae", "unet"])
def test_descriptions_of_older_versions_are_still_the_same_runs(model):
    """They hold the one default that all networks had, with or without actdiff."""
    old = {"actdiff_norm": "row", "actdiff_at": "pre"}
    plain = make_config(model=model, **old)
    assert plain == make_config(model=model)
    assert baseline(make_config(model=model, actdiff=1.0, **old)) == plain
    assert baseline(make_config(model=model, actdiff=1.0)) == plain
    assert form(make_config(model=model, actdiff=1.0, **old)) == ("row", "pre")
    assert method_name(make_config(model=model, actdiff=1.0, **old)) == "Actdiff, row, pre"
    assert method_name(make_config(model=model, actdiff=1.0)) == "Actdiff"
    with pytest.raises(UsageError, match="actdiff_norm has no effect"):
        make_config(model=model, actdiff_norm="layer")


@pytest.mark.parametrize(
    ("settings", "label"),
    [
        (
            {"adversarial": 1.0, "recon_masked": True, "cutout": 5, "rrr": 1.0},
            "RRR & Adversarial & Reconstruct Masked & Cutout 5",
        ),
        (
            {"actdiff": 1.0, "actdiff_detach": True, "gradmask": 1.0, "gradmask_norm": "l1"},
            "Actdiff & Gradmask, l1, detached",
        ),
        (
            {"actdiff": 1.0, "actdiff_detach": True, "adversarial": 1.0, "adversarial_form": "followup"}
            | {"masks": 0.5, "masks_without": "borrowed"},
            "Actdiff & Adversarial, followup, detached, 50% of masks, borrowed masks",
        ),
    ],
)
def test_methods_are_called_as_in_tables_of_earlier_versions(settings, label):
    assert method_name(make_config(model="unet", **settings)) == label


amount = st.one_of(st.integers(1, 100), st.floats(1e-6, 1e6))


@st.composite
def data_settings(draw: st.DrawFn, chosen: dict[str, Any]) -> dict[str, Any]:
    """Settings of splits and masks that act beside those chosen."""
    preset = presets()[chosen["preset"]].settings
    policy = chosen.get("split_policy") or preset.get("split_policy", "given")
    acting: dict[str, st.SearchStrategy[Any]] = {}
    if policy != "given":
        acting |= {
            "split_seed": st.integers(-1, 2**31),
            "split_ratio": st.just("40/30/30"),
            "train_images": st.integers(0, 999),
            "valid_images": st.integers(0, 999),
            "test_images": st.integers(0, 999),
        }
    if policy == "site-correlated":
        acting["correlation"] = st.floats(0, 1)
    if (chosen.get("mask") or preset.get("mask", "file")) == "file":
        acting["mask_blur"] = st.floats(0, 64)
    return draw(st.fixed_dictionaries({}, optional=acting))


@st.composite
def valid_settings(draw: st.DrawFn) -> dict[str, Any]:
    """Settings that make sense together, every field among them."""

    def some(**strategies: st.SearchStrategy[Any]) -> dict[str, Any]:
        return draw(st.fixed_dictionaries({}, optional=strategies))

    chosen: dict[str, Any] = {
        "preset": draw(st.sampled_from(list(presets()))),
        "model": draw(st.sampled_from(["resnet18", "cnn", "ae", "unet"])),
        **some(
            data=st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: text != "synthetic"),
            split_policy=st.sampled_from(["given", "subject", "site-correlated"]),
            image_size=st.integers(8, 512),
            mask=st.sampled_from(["file", "circle"]),
            width=st.integers(1, 128),
            cutout=st.integers(0, 20),
            epochs=st.integers(1, 9999),
            batch_size=st.integers(1, 999),
            lr=amount,
            eval_train=st.booleans(),
            clip=amount,
            ema=st.floats(0, 0.999),
            label_smoothing=st.floats(0, 0.9),
            class_balance=st.sampled_from(["none", "weights", "sampling"]),
            patience=st.integers(0, 99),
            schedule=st.sampled_from(["constant", "cosine"]),
            device=st.sampled_from(["auto", "cpu", "cuda", "mps"]),
            precision=st.sampled_from(["fp32", "tf32", "bf16"]),
            threads=st.integers(0, 64),
        ),
    }
    chosen |= draw(data_settings(chosen))
    if chosen.get("image_size"):
        chosen |= some(
            augment=st.sampled_from(["none", "crop-flip"]), evaluate_view=st.sampled_from(["whole", "centre"])
        )
    control: dict[str, Any] = draw(
        st.sampled_from(
            [{}, {"classify_masked": "train"}, {"classify_masked": "all"}, {"classify_shuffled": True}]
        )
    )
    decodes = chosen["model"] in {"ae", "unet"}
    if decodes:
        chosen |= some(
            recon=amount, recon_masked=st.just(value=not control), recon_loss=st.sampled_from(["bce", "mse"])
        )
    if control:
        return chosen | control
    if draw(st.booleans()):
        chosen |= {"actdiff": draw(amount), "masks": draw(st.floats(0, 1))} | some(
            actdiff_norm=st.sampled_from(["layer", "channel", "row"]),
            actdiff_at=st.sampled_from(["pre", "post"]),
            actdiff_layers=st.text(st.characters(exclude_categories=["Cs"])).filter(lambda t: t != "pooled"),
            actdiff_detach=st.booleans(),
        )
    if draw(st.booleans()):
        chosen |= {"adversarial": draw(amount)} | some(
            adversarial_steps=st.integers(1, 20),
            adversarial_lr=amount,
            adversarial_form=st.sampled_from(["ours", "followup"]),
        )
    if draw(st.booleans()):
        return chosen | some(compile=st.booleans())
    chosen |= some(rrr=amount)
    return (
        chosen
        | {"gradmask": draw(amount)}
        | some(
            gradmask_norm=st.sampled_from(["l2", "l1"]),
            gradmask_target=st.sampled_from(["contrast", "positive"]),
        )
    )


seed_tuples = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=6, unique=True).map(tuple)


@settings(max_examples=100)
@given(chosen=valid_settings(), seeds=seed_tuples)
def test_a_description_written_as_toml_reads_back_the_same(tmp_path_factory, chosen, seeds):
    config = make_config(**chosen)
    path = tmp_path_factory.getbasetemp() / "round-trip.toml"
    path.write_bytes(format_config(config, seeds).encode())
    read, read_seeds = read_config(path)
    left_out = set(all_settings()) - set(read)
    unsaid = {known.name: known.default for known in all_settings().values() if known.unsaid}
    assert set(declared(Optimisation)) <= unsaid.keys()
    assert left_out == {name for name, default in unsaid.items() if config[name] == default}
    assert make_config(**read) == config
    assert compose(read) == config
    assert read_seeds == seeds


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "run.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_file_may_name_a_few_settings_and_no_seeds(tmp_path):
    path = written(tmp_path, '# a comment\nmodel = "unet"\nactdiff = 10\n')
    assert read_config(path) == ({"model": "unet", "actdiff": 10}, None)
    assert make_config(**read_config(path)[0])["actdiff"] == 10


@pytest.mark.parametrize(("text", "seeds"), [("seeds = 3", (3,)), ('seeds = "0-2,7"', (0, 1, 2, 7))])
def test_seeds_are_a_number_or_ranges(tmp_path, text, seeds):
    assert read_config(written(tmp_path, text)) == ({}, seeds)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("actdiff = ", "cannot be read as TOML"),
        ("epochs = 1\nepochs = 2", "cannot be read as TOML"),
        (b"\xff\xfe\x00", "cannot be read as TOML"),
        ("a = " + "[" * 5000, "cannot be read as TOML"),
        ("epochs = " + "9" * 5000, "cannot be read as TOML"),
        ("epoch = 3", "no setting 'epoch'; did you mean 'epochs'"),
        ("epochs = 2.5", "epochs must be of type int; found 2.5"),
        ("lr = inf", "lr must be finite"),
        ("[epochs]\nmany = 1", "epochs must be of type int"),
        ("epochs = 1979-05-27", "epochs must be of type int"),
        ('precision = "fp16"', "precision must be one of fp32, tf32, bf16; found 'fp16'"),
        ("seeds = [0, 1]", "seeds are numbers and ranges"),
        ('seeds = "9-0"', "the range 9-0 is empty"),
        (f'seeds = "{"9" * 5000}"', "seeds are numbers and ranges"),
    ],
)
def test_a_broken_file_is_named_with_its_mistake(tmp_path, text, reason):
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert str(caught.value).startswith(str(path))
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("name", "why"), [("missing.toml", "No such file or directory"), (".", "Is a directory")]
)
def test_a_file_that_is_not_there_is_named(tmp_path, name, why):
    with pytest.raises(ConfigError, match=rf" cannot be read \({why}\)$"):
        read_config(tmp_path / name)


@settings(max_examples=200)
@given(garbage=st.one_of(st.binary(), st.text(st.characters(codec="utf-8")).map(str.encode)))
def test_garbage_is_either_settings_or_a_config_error(tmp_path_factory, garbage):
    path = tmp_path_factory.getbasetemp() / "garbage.toml"
    path.write_bytes(garbage)
    try:
        read, _ = read_config(path)
    except ConfigError:
        return
    assert set(read) <= set(all_settings())


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0", (0,)),
        ("0-3", (0, 1, 2, 3)),
        ("0,3,7-8", (0, 3, 7, 8)),
        (" 4 , 1 ", (4, 1)),
        ("5-5", (5,)),
        ("4294967295", (2**32 - 1,)),
    ],
)
def test_seeds_by_hand(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *(
            (text, "numbers and ranges such as")
            for text in ("", ",", "1,", "a", "-1", "1-", "1--2", "1-2-3", "1.5")
        ),
        *((text, "numbers and ranges such as") for text in ("²", "٣", "1 - 2", "+1", "1_0", "9" * 5000)),
        ("3-1", "range 3-1 is empty"),
        ("0-10000", "range 0-10000 is empty or of more than 10,000"),
        ("4294967296", "a seed must be from 0 to 4,294,967,295; found 4294967296"),
        ("1,2,1", "names a seed twice"),
        ("0-3,2", "names a seed twice"),
    ],
)
def test_other_seeds_are_refused(text, reason):
    with pytest.raises(UsageError, match=reason):
        parse_seeds(text)


@pytest.mark.parametrize(
    ("seeds", "text"), [((0,), "0"), ((0, 1), "0-1"), ((0, 1, 2, 5), "0-2,5"), ((3, 2, 1), "3,2,1"), ((), "")]
)
def test_consecutive_seeds_are_written_as_one_range(seeds, text):
    assert format_seeds(seeds) == text


near = st.integers(0, 30)


@given(seeds=st.lists(st.one_of(near, near, st.integers(0, 2**32 - 1)), min_size=1, max_size=20, unique=True))
def test_format_seeds_is_the_inverse_of_parse_seeds(seeds):
    assert parse_seeds(format_seeds(seeds)) == tuple(seeds)


def test_more_seeds_than_one_range_may_hold_are_written_as_two():
    seeds = tuple(range(10_001))
    assert format_seeds(seeds) == "0-9999,10000"
    assert parse_seeds(format_seeds(seeds)) == seeds
