"""Which of the library's own files a module can depend on."""

import re
from collections.abc import Iterator
from pathlib import Path

_NAMED = re.compile(r"\b(activmask(?:\.\w+)*)(?:\s+import\s+(\([^)]*\)|.*))?")
"""A dotted name of ours, and what is imported from it."""

_RELATIVE = re.compile(r"^\s*from\s+\.", re.MULTILINE)


def files_behind(module: str, root: Path | None = None) -> dict[str, Path]:
    """The files that a module of the library can depend on: its own, and those of all that it imports.

    Imports are found in the text, inside of functions too, and followed. In doubt a file counts: a name in a
    comment is as good as an import, and a package counts with all that lies in it and is no module, such as
    tables. Nothing is imported, and parsing would take ten times as long.

    Args:
        module: by its dotted name.
        root: the library's folder; None is where this very file lies.

    Returns:
        Paths by where they lie in that folder, in their order; none where the program's files cannot be
        seen, as in an archive.
    """
    root = root or Path(__file__).parents[1]
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.parent.name != "__pycache__")
    modules = {_dotted(path, root): path for path in files if path.suffix == ".py"}
    reached: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in reached or name not in modules:
            continue
        reached.add(name)
        waiting.append(name.rpartition(".")[0])
        # The library's own file names everything for its users, and imports nothing of it.
        if name != root.name:
            waiting.extend(_named_in(modules[name].read_text(encoding="utf-8"), modules))
    counted = {modules[name] for name in reached}
    return {
        path.relative_to(root).as_posix(): path
        for path in files
        if path in counted or _package_of(path) in counted
    }


def _named_in(text: str, modules: dict[str, Path]) -> Iterator[str]:
    if _RELATIVE.search(text):
        yield from modules
    for place, names in _NAMED.findall(text):
        yield place
        yield from (f"{place}.{name}" for name in re.findall(r"\w+", names))


def _dotted(path: Path, root: Path) -> str:
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _package_of(path: Path) -> Path | None:
    """The package whose file something is that is no module."""
    if path.suffix == ".py":
        return None
    return next((one for folder in path.parents if (one := folder / "__init__.py").exists()), None)
