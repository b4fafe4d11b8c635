"""What such a person types, chapter by chapter; each chapter stands on those before it."""

from collections.abc import Mapping, Sequence

from benchmarks.walk.steps import Step

_DRAWN = "--split-policy subject --batch-size 8"
_QUICK = f"--model cnn --width 4 --epochs 2 --seeds 0 {_DRAWN}"
_PLAIN = "runs/plain/seed-0/best.safetensors"

CHAPTERS: Mapping[str, Sequence[Step]] = {
    "pictures as they come": (
        Step(
            "activmask prepare-folder dicom --masks rois --labels labels.csv --size 32 --intensity 4095"
            " --positive lesion --name chest --title 'Chest of mine' --out data/chest",
            says=("lesion", "black bars|pad"),
            leaves=("data/chest/images/*.png", "data/chest/masks/*.png"),
        ),
        Step(
            "activmask prepare-folder photos --masks photo-masks --labels photos.csv --colour keep"
            " --size 32 --fit crop --out data/photos",
            says=("colour",),
        ),
        Step(
            "activmask prepare-folder photos --masks photo-masks --labels photos.csv --colour grey"
            " --size 32 --fit stretch --out data/grey",
            says=("stretch",),
        ),
        Step(
            "activmask prepare-folder volumes --masks volume-labels --labels volumes.csv --mask-labels 1"
            " --size 32 --out data/volumes"
        ),
        Step(
            "activmask prepare-folder dicom --masks rois --labels findings.csv --multi-label effusion,mass"
            " --size 32 --intensity 4095 --out data/findings",
            says=("effusion", "mass"),
        ),
        Step(
            "activmask prepare-folder dicom --labels labels.csv --size 32 --intensity 4095"
            " --json --out data/bare"
        ),
    ),
    "networks people use": (
        Step("python weights.py"),
        Step(
            f"activmask train --data data/chest {_QUICK} --dry-run", says=(r'data = "data/chest"|data/chest',)
        ),
        Step(
            f"activmask train --data data/chest {_QUICK} --name plain", leaves=("runs/plain/seed-0/run.json",)
        ),
        Step(
            f"activmask train --data data/chest --model net.py:make --actdiff 1 --epochs 2 {_DRAWN}"
            " --seeds 0,1 --name mine"
        ),
        Step(
            "activmask train --data data/chest --model net.py:make --weights net.safetensors"
            f" --freeze backbone --gradmask 0.1 --epochs 2 {_DRAWN} --name mine-gradmask"
        ),
        Step(
            "activmask train --data data/photos --model timm:test_resnet --gradmask 0.1 --epochs 1"
            f" {_DRAWN} --name timm"
        ),
        Step(
            "activmask train --data data/photos --model torchvision:resnet18 --weights resnet.safetensors"
            f" --freeze backbone --epochs 1 {_DRAWN} --name torchvision",
            says=("fc",),
        ),
        Step(
            f"activmask train --data data/chest {_QUICK} --optimizer adamw --weight-decay 0.1 --warmup 1"
            " --schedule cosine --clip 1 --ema 0.9 --label-smoothing 0.1 --class-balance weights --patience 2"
            " --augment flips,rotate,crop,intensity --name practised"
        ),
        Step(f"activmask train --data data/findings {_QUICK} --actdiff 1 --name findings"),
        Step(
            f"activmask train --data data/volumes {_QUICK} --json --name volumes", says=('"test|"scores|auc',)
        ),
        Step(
            f"activmask train --data data/chest {_QUICK} --track tensorboard --track-images 1 --name watched",
            leaves=("**/events.out.tfevents*",),
        ),
        Step(f"activmask train --data data/chest {_QUICK} --track mlflow --name logged"),
        Step(
            "python arrays.py", says=("3 epochs were seen",), leaves=("runs/arrays/seed-0/best.safetensors",)
        ),
        Step(f"activmask train --data data/chest {_QUICK} --name plain --resume", says=("finished",)),
    ),
    "looking": (
        Step(
            "activmask evaluate runs/plain runs/mine --code net.py --groups site --predictions p.csv",
            leaves=("p.csv",),
        ),
        Step(
            "activmask evaluate runs/plain --json | python -m json.tool > scores.json",
            leaves=("scores.json",),
        ),
        Step("activmask evaluate runs/findings --label mass"),
        Step(f"activmask saliency {_PLAIN} dicom/scan-000.dcm --out one.png", leaves=("one.png",)),
        Step(f"activmask saliency {_PLAIN} --split test --map viridis --out looks --raw looks/maps"),
        Step(f"activmask saliency {_PLAIN} --json | python -m json.tool"),
        Step(
            "activmask saliency runs/volumes/seed-0/best.safetensors volumes --mask volume-labels"
            " --slice 1 --out slices"
        ),
        Step("activmask saliency runs/findings/seed-0/best.safetensors dicom --label mass --out masses"),
        Step("activmask score looks/maps --data data/chest --skip-unreadable", says=("chance",)),
        Step("activmask table runs --format csv --out all.csv", leaves=("all.csv",)),
        Step(
            "activmask report runs --code net.py --title 'All of mine' --out page",
            leaves=("page/index.html",),
        ),
    ),
    "audit": (
        Step(
            "activmask audit --data data/chest --model net.py:make --weights net.safetensors"
            " --report audited",
            leaves=("audited/index.html",),
        ),
        Step(
            "activmask audit --data data/chest --model torchvision:resnet18 --weights resnet.safetensors"
            " --channels 3 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --without looks --json"
        ),
        Step("activmask audit export --data data/chest --out variants", leaves=("variants/**/*.png",)),
        Step(f"activmask audit --model {_PLAIN} --without looks"),
    ),
    "many": (
        Step("activmask sweep mine.toml --dry-run"),
        Step("activmask sweep mine.toml --seeds 0,1 --out runs/grid"),
        Step("activmask table runs/grid --json | python -m json.tool"),
    ),
    "mistakes": (
        Step("activmask train --data data/chset", code=3, says=("data/chset",)),
        Step("activmask evaluate runs/plian", code=3, says=("runs/plian",)),
        Step("activmask train --data data/chest --model resnet81", code=2, says=("resnet81",)),
        Step("activmask train --data data/chest --epohcs 3", code=2, says=("--epochs",)),
        Step(
            "activmask train --data data/chest --model net.py:make --weights net.pt --split-policy subject",
            code=3,
            says=("safetensors", "weights_only"),
        ),
        Step(
            "activmask prepare-folder dicom --masks rois --labels labels.csv --size 32 --intensity 4095"
            " --positive leison --out data/again",
            code=2,
            says=("lesion",),
        ),
        Step(
            "activmask prepare-folder dicom --masks rois --labels labels.csv --size 32 --intensity 4095"
            " --out data/chest",
            code=3,
            says=("--overwrite",),
        ),
        Step(f"activmask saliency {_PLAIN} dicom/scan-000.dcm --out data/chest/x.png", code=2),
        Step("activmask train --data data/chest --name ..", code=2),
    ),
    "the terminal": (
        Step("activmask --help", narrow=True),
        Step("for one in train evaluate saliency audit report; do activmask $one --help; done", narrow=True),
        Step("activmask table runs --json | head -1"),
        Step("activmask evaluate runs/plain > /dev/full", code=3, says=("cannot be written",)),
        Step(
            "_ACTIVMASK_COMPLETE=complete_bash COMP_WORDS='activmask train --model resn' COMP_CWORD=3"
            " activmask",
            says=("resnet18",),
        ),
    ),
}
"""The steps by chapter."""
