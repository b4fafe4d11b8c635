import numpy as np
import pytest
import typer
from activmask_cli.saliency import saliency
from PIL import Image
from tiny_checkpoints import write_checkpoint, write_image, write_mask
from typer.testing import CliRunner

app = typer.Typer()
app.command()(saliency)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("run") / "seed-0" / "best.safetensors", model="unet")


def test_one_image_with_its_mask(tmp_path, checkpoint):
    image, mask = write_image(tmp_path / "img.png"), write_mask(tmp_path / "mask.png")
    result = run(checkpoint, image, "--mask", mask, "--raw", tmp_path / "raw.npy", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "by chance" in result.stdout
    assert "img.png" in result.stdout
    assert "img.saliency.png" in result.stderr
    with Image.open(tmp_path / "img.saliency.png") as picture:
        assert picture.format == "PNG"
    assert np.load(tmp_path / "raw.npy", allow_pickle=False).shape == (28, 28)


@pytest.mark.parametrize(
    ("options", "layer"), [([], "encoder.3.1"), (["--layer", "encoder.2.1"], "encoder.2.1")]
)
def test_gradcam_says_which_layer_it_looks_at(tmp_path, checkpoint, options, layer):
    result = run(checkpoint, write_image(tmp_path / "a.png"), "--method", "gradcam", *options)
    assert result.exit_code == 0, result.output
    assert f"gradcam at {layer} (" in result.stdout


def test_a_folder_with_a_folder_of_masks(tmp_path, checkpoint):
    for k in range(3):
        write_image(tmp_path / "images" / f"{k}.png", seed=k)
        write_mask(tmp_path / "masks" / f"{k}.png")
    raw = tmp_path / "raw.npy"
    result = run(
        checkpoint, tmp_path / "images", "--mask", tmp_path / "masks", "--out", tmp_path / "out", "--raw", raw
    )
    assert result.exit_code == 0, result.output
    pictures = [f"{k}.saliency.png" for k in range(3)]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [*pictures, "saliency.csv", "sheet.png"]
    assert np.load(raw, allow_pickle=False).shape == (3, 28, 28)
    assert len([line for line in result.stdout.splitlines() if ".png" in line]) == 3
    assert len((tmp_path / "out/saliency.csv").read_text().splitlines()) == 1 + 3


def test_a_picture_of_another_map_that_is_replaced_is_told(tmp_path, checkpoint):
    image = write_image(tmp_path / "img.png")
    first, again, other, chosen = (
        run(checkpoint, image, "--device", "cpu", *options)
        for options in ([], [], ["--method", "input-gradient"], ["--out", tmp_path / "img.saliency.png"])
    )
    assert "note" not in first.stderr + again.stderr + chosen.stderr
    assert "another picture was in" in " ".join(other.stderr.split())


def test_a_second_run_over_a_folder_leaves_its_pictures_out(tmp_path, checkpoint):
    write_image(tmp_path / "a.png")
    first, second = run(checkpoint, tmp_path), run(checkpoint, tmp_path)
    assert first.exit_code == second.exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.saliency.png"]


def test_names_with_markup_are_printed_as_they_are(tmp_path, checkpoint):
    image = write_image(tmp_path / "[bold]x[red].png")
    result = run(checkpoint, image)
    assert result.exit_code == 0, result.output
    assert "[bold]x[red].png" in result.stdout


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--method", "gradcan"], 2, "no attribution method 'gradcan'; did you mean 'gradcam'"),
        (["--method", "gradcam", "--target", "7"], 2, "no class 7"),
        (["--target", "1"], 2, "a target has no effect"),
        (["--layer", "encoder.3.1"], 2, "a layer has no effect on the method contrast"),
        (["--method", "gradcam", "--layer", "encoder.3.2"], 2, "no layer 'encoder.3.2'; the nearest of its"),
        (["--top", "0"], 2, "above 0 %"),
        (["--mask", "nowhere.png"], 3, "nowhere.png does not exist"),
        (["--raw", "raw.csv"], 2, "must end in .npy"),
    ],
)
def test_wrong_options_are_one_sentence_and_write_nothing(tmp_path, checkpoint, options, code, message):
    check_failure(tmp_path, run(checkpoint, write_image(tmp_path / "a.png"), *options), code, message)


def test_wrong_images_are_one_sentence_and_write_nothing(tmp_path, checkpoint):
    good = write_image(tmp_path / "a.png")
    large = write_image(tmp_path / "large.png", 40, 40)
    text, cut = tmp_path / "text.png", tmp_path / "cut.png"
    text.write_text("this is no image")
    cut.write_bytes(good.read_bytes()[:200])
    colour = tmp_path / "colour.png"
    Image.fromarray(np.arange(28 * 28 * 3, dtype=np.uint8).reshape(28, 28, 3)).save(colour)
    for bad in (large, text, cut, colour, tmp_path / "none.png"):
        check_failure(tmp_path, run(checkpoint, bad), 3, bad.name)
    check_failure(tmp_path, run(checkpoint, good, tmp_path / "none.png"), 3, "none.png")


def test_a_broken_image_does_not_stop_the_others(tmp_path, checkpoint):
    images = tmp_path / "images"
    for k in (0, 2):
        write_image(images / f"{k}.png", seed=k)
    (images / "1.png").write_bytes(b"")
    (images / "3.png").symlink_to(tmp_path / "nowhere.png")
    raw = tmp_path / "raw.npy"
    out = tmp_path / "out"
    result = run(checkpoint, images, "--raw", raw, "--out", out)
    assert result.exit_code == 3, result.output
    assert sorted(path.name for path in out.glob("*.saliency.png")) == ["0.saliency.png", "2.saliency.png"]
    assert len((out / "saliency.csv").read_text().splitlines()) == 1 + 4
    said = result.stderr.splitlines()
    assert said[-3].startswith(f"unreadable: {images / '1.png'} ")
    assert said[-2].startswith(f"unreadable: {images / '3.png'} ")
    assert said[-1].startswith("error: 2 of 4 images cannot be explained; ")
    maps = np.load(raw, allow_pickle=False)
    assert maps.shape == (4, 28, 28)
    assert [bool(np.isnan(one).all()) for one in maps] == [False, True, False, True]
    assert not np.isnan(maps[[0, 2]]).any()


def test_several_broken_images_are_all_named(tmp_path, checkpoint):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("no image")
    result = run(checkpoint, tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 3, result.output
    assert [name in result.stderr for name in ("a.png", "b.png")] == [True, True]
    assert result.stdout == ""


def test_wrong_checkpoints_are_one_sentence_and_write_nothing(tmp_path, checkpoint):
    image = write_image(tmp_path / "a.png")
    text, cut = tmp_path / "text.safetensors", tmp_path / "cut.safetensors"
    text.write_text("this is no checkpoint")
    cut.write_bytes(checkpoint.read_bytes()[:5000])
    for bad in (text, cut, tmp_path / "none.safetensors", tmp_path):
        check_failure(tmp_path, run(bad, image), 3, str(bad))


def check_failure(folder, result, code, message):
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert not [path for path in folder.iterdir() if "saliency" in path.name or path.suffix == ".npy"]
