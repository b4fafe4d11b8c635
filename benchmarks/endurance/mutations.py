"""Mutations: a command reads a damaged file, and says so, or comes to what the whole file gives."""

from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks.endurance.damage import damage
from benchmarks.endurance.material import files_below
from benchmarks.endurance.outcome import CODES, Case, Outcome, faults, hidden_names, last_words
from benchmarks.endurance.place import Place
from benchmarks.endurance.programs import Ended, run
from benchmarks.endurance.sameness import differences, names_below
from benchmarks.endurance.scenarios import SCENARIOS, STDOUT, Scenario
from benchmarks.endurance.tensor_ways import BELIEVABLE


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Files that are damaged, and the commands that read them: scenarios whose result is known."""

    readers: tuple[str, ...]
    """Scenarios, one of which is called."""
    files: tuple[str, ...]
    """Patterns of what is damaged in their working folder."""
    weight: int = 2


SUBJECTS: dict[str, Subject] = {
    "an interrupted run": Subject(
        readers=("resume", "resume adversarial", "resume two seeds"),
        files=("run/*/state.safetensors", "run/*/*"),
        weight=8,
    ),
    "a finished run": Subject(
        readers=("train longer", "evaluate", "table", "saliency", "train again"),
        files=("run/*/*",),
        weight=8,
    ),
    "a finished run, in a report": Subject(readers=("report on one",), files=("run/*/*",), weight=1),
    "a data set": Subject(
        readers=("train on data", "evaluate on data", "resume on data"),
        files=("data/*.*", "data/*/*"),
        weight=4,
    ),
    "pictures": Subject(
        readers=("prepare pictures", "saliency"),
        files=("pictures/*.csv", "pictures/*/*", "raw/*"),
        weight=4,
    ),
    "volumes": Subject(
        readers=("prepare volumes",), files=("Task03_Liver/*.json", "Task03_Liver/*/*"), weight=4
    ),
    "an archive of volumes": Subject(readers=("prepare archive",), files=("*.tar",), weight=2),
    "X-rays": Subject(
        readers=("prepare X-rays",),
        files=("xray/*/*.csv", "xray/*/*/*.png", "xray/*/*/*.dcm"),
        weight=4,
    ),
    "settings": Subject(readers=("TOML", "grid"), files=("*.toml",), weight=2),
}
"""By name."""


def mutate(place: Place, case: Case, rng: Random) -> Outcome:
    """Damage one file and call a command that reads it."""
    name = rng.choices(list(SUBJECTS), [subject.weight for subject in SUBJECTS.values()])[0]
    subject = SUBJECTS[name]
    reader = rng.choice(subject.readers)
    scenario, known = SCENARIOS[reader], place.known(reader)
    start = place.start(scenario)
    with place.case(case.name, start) as folder:
        work = folder / "work"
        before = names_below(work)
        path = _drawn(rng, work, subject.files)
        inner = path.relative_to(work).as_posix()
        how = damage(rng, path, _others(place, path.suffix, work))
        ended = run(place.program(scenario, capped=True), folder, limit=known.limit)
        losses = faults(ended)
        if not losses and ended.code not in CODES:
            losses.append(f"exit code {ended.code}: {last_words(ended.stderr)}")
        if ended.code in CODES:
            names = hidden_names(work, before | names_below(known.folder))
            losses += [f"{name} is left over" for name in names if not name.endswith(scenario.keeps or "\0")]
        judged = scenario.made and inner.endswith(scenario.judged) and BELIEVABLE not in how
        if ended.code == 0 and judged:
            losses += _other_result(ended, known.stdout, work, known.folder, scenario)
    return Outcome(
        case=case,
        what=f"{inner} ({how}), read by {reader}",
        about=name,
        result=_result(ended),
        losses=tuple(losses),
    )


def _drawn(rng: Random, work: Path, patterns: tuple[str, ...]) -> Path:
    """A file that one of the patterns finds, each pattern that finds one as likely as the others."""
    found = [[path for path in sorted(work.glob(pattern)) if path.is_file()] for pattern in patterns]
    return rng.choice(rng.choice([paths for paths in found if paths]))


def _others(place: Place, ending: str, work: Path) -> list[Path]:
    """Files of the same kind: of the same folder, and of two other runs."""
    folders = [work]
    if ending in {".safetensors", ".json", ".csv"}:
        folders += [place.known(name).folder for name in ("train two seeds", "train adversarial")]
    paths = [path for folder in folders for path in files_below(folder)]
    return [path for path in paths if path.suffix == ending and not path.name.startswith(".")]


def _other_result(ended: Ended, printed: str, work: Path, known: Path, scenario: Scenario) -> list[str]:
    """What differs from what the whole file gives, although the program was content."""
    if scenario.made == STDOUT:
        return [] if ended.stdout == printed else ["it was believed, and another result was printed"]
    lines = differences(work / scenario.made, known / scenario.made)
    return [f"it was believed, but {scenario.made}/{line}" for line in lines[:8]]


def _result(ended: Ended) -> str:
    if ended.code is None:
        return "never ended"
    return f"exit code {ended.code}" if ended.code >= 0 else f"signal {-ended.code}"
