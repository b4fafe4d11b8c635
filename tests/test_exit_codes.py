"""The same mistake has the same exit code in every command, as docs/training.md says."""

import pytest
from in_process import told
from tiny_checkpoints import write_checkpoint, write_image

BAD_DATA, WRONG_USE = 3, 2
MISTAKES = {
    "a folder that does not exist": (
        BAD_DATA,
        (
            "train --data nowhere",
            "evaluate nowhere",
            "evaluate run --data nowhere",
            "audit --data nowhere --model net.py:make",
            "audit export --data nowhere --out made",
            "audit score nowhere predictions.csv",
            "saliency run/seed-0/best.safetensors nowhere",
            "saliency run/seed-0/best.safetensors image.png --mask nowhere",
            "saliency nowhere image.png",
            "score nowhere --data set",
            "score set/images --data nowhere",
            "score set/images --masks nowhere",
            "sweep table1 --data nowhere --models cnn --methods Classify --seeds 1 --epochs 1",
            "table nowhere",
            "report nowhere",
            "plant nowhere --shortcut tag --class 1 --share 0.9 --out made",
            "prepare-folder nowhere --labels labels.csv",
            "prepare-msd nowhere --out made",
            "prepare-xray --nih nowhere",
        ),
    ),
    "a file that does not exist": (
        BAD_DATA,
        (
            "train --config none.toml",
            "train --data synthetic --model none.py:make",
            "evaluate none.safetensors",
            "audit --data set --model none.py:make",
            "audit --data set --model none.onnx",
            "audit --data set --model net.py:make --weights none.safetensors",
            "saliency none.safetensors image.png",
            "saliency run/seed-0/best.safetensors none.png",
            "sweep none.toml",
            "prepare-folder set/images --labels none.csv --out made",
        ),
    ),
    "a file that is no TOML": (BAD_DATA, ("train --config net.py", "sweep broken.toml")),
    "a table into a folder that does not exist": (
        WRONG_USE,
        (
            "evaluate run --predictions nowhere/p.csv",
            "audit --data set --model net.py:make --predictions nowhere/p.csv",
            "score set/images --data set --out nowhere/s.csv",
        ),
    ),
    "a number out of its range": (
        WRONG_USE,
        (
            "train --epochs 0",
            "demo --epochs 0",
            "make-synthetic --n 0",
            "audit --data set --model net.py:make --seed -1",
            "saliency run/seed-0/best.safetensors image.png --top 0",
            "score set/images --data set --mask-blur -1",
            "sweep table1 --epochs 0",
            "plant set --shortcut tag --class 1 --share 2 --out made",
            "prepare-folder set/images --labels labels.csv --size 0",
            "prepare-msd set --size 0",
            "prepare-xray --size 0",
        ),
    ),
    "no number": (
        WRONG_USE,
        (
            "train --seeds x",
            "demo --epochs x",
            "make-synthetic --n x",
            "saliency run/seed-0/best.safetensors image.png --top x",
            "sweep table1 --seeds x",
            "sweep table1 --set epochs=x",
        ),
    ),
    "a name that is not known": (
        WRONG_USE,
        (
            "train --model resnt18",
            "train --preset x",
            "evaluate run --split x",
            "evaluate run --device x",
            "audit --data set --model net.py:nothing",
            "audit --data set --model net.py:make --method x",
            "saliency run/seed-0/best.safetensors image.png --method x",
            "saliency run/seed-0/best.safetensors set --split x",
            "score set/images --data set --split x",
            "sweep tabel1",
            "sweep table1 --models x",
            "sweep table1 --forms x",
            "sweep table1 --set nonsense=1",
            "table run --format x",
            "plant set --shortcut x --class 1 --share 0.9 --out made",
            "prepare-folder set/images --labels labels.csv --colour x",
            "nonsense",
        ),
    ),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("codes")
    write_checkpoint(folder / "run/seed-0/best.safetensors")
    write_image(folder / "image.png")
    (folder / "net.py").write_text("def make():\n    import torch\n\n    return torch.nn.Flatten()\n")
    (folder / "broken.toml").write_text("[axes")
    told("make-synthetic", "--n", 8, "--valid", 4, "--test", 4, "--out", "set", cwd=folder)
    return folder


@pytest.mark.parametrize("what", MISTAKES)
def test_the_same_mistake_has_the_same_exit_code_in_every_command(place, what):
    expected, commands = MISTAKES[what]
    before = sorted(place.rglob("*"))
    results = {command: told(*command.split(), cwd=place, code=None) for command in commands}
    assert {command: one.exit_code for command, one in results.items()} == dict.fromkeys(commands, expected)
    assert {command: one.stdout for command, one in results.items() if one.stdout} == {}
    assert sorted(place.rglob("*")) == before


def test_all_that_is_missing_is_named_at_once(tmp_path):
    def said(*words: object) -> str:
        return " ".join(told(*words, cwd=tmp_path, code=2).stderr.replace("│", "").split())

    assert "Missing parameters 'data', '--shortcut', '--class' and '--share'." in said("plant")
    assert "Missing parameters '--class' and '--share'." in said("plant", "set", "--shortcut", "tag")
    assert "Missing parameters 'images' and '--labels'." in said("prepare-folder")
    assert "Missing option '--labels'." in said("prepare-folder", "scans")
