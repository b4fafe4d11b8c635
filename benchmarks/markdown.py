"""A result as Markdown."""

from benchmarks.result import Cell, Column, Measured, Part, Result, Table

SPREADS = {
    ("mean", "sd"): "{} ± {}",
    ("least", "greatest"): "{} to {}",
    ("median", "least", "greatest"): "{} ({} to {})",
    ("at least",): "at least {}",
    ("at most",): "at most {}",
}
"""How several numbers of one cell are shown, by their names."""


def render(result: Result, name: str) -> str:
    """The whole file `name`.md.

    Args:
        result: what to show.
        name: of both files, without an ending; empty where there are none.
    """
    blocks = [f"# {result['title']}", measured_lines(result["measured"], name)]
    for part in result["parts"]:
        blocks += part_blocks(part)
    return "\n\n".join(blocks) + "\n"


def measured_lines(measured: Measured, name: str) -> str:
    """What the numbers were measured on, and where they are."""
    versions = ", ".join(f"{package} {number}" for package, number in measured["versions"].items())
    lines = [
        f"- Commit: {measured['commit']}",
        f"- Date: {measured['date']}",
        f"- Machine: {measured['machine']}",
        f"- Software: {versions}",
    ]
    if "seconds" in measured:
        lines.append(f"- It took: {measured['seconds']:,.0f} s")
    if "remark" in measured:
        lines.append(f"- Remark: {measured['remark']}")
    if name:
        lines.append(f"- The numbers for programs: [{name}.json]({name}.json)")
    return "\n".join(lines)


def part_blocks(part: Part) -> list[str]:
    """The pieces of a part, to stand apart by empty lines."""
    blocks = [f"## {part['heading']}"] if "heading" in part else []
    if "text" in part:
        blocks.append("\n".join(part["text"]))
    if "commands" in part:
        blocks.append("\n".join(f"    {command}" for command in part["commands"]))
    if "table" in part:
        blocks.append(table_lines(part["table"]))
    return blocks


def table_lines(table: Table) -> str:
    """The table, numbers to the right."""
    columns = table["columns"]
    rules = ["---:" if "form" in one else "---" for one in columns]
    rows = [[cell_text(cell, one) for cell, one in zip(row, columns, strict=True)] for row in table["rows"]]
    lines = [[one["name"] for one in columns], rules, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell_text(cell: Cell, of: Column) -> str:
    """One cell; a dash where there is nothing.

    Raises:
        ValueError: numbers in a column of words, or several whose names mean nothing here.
    """
    if cell is None:
        return "-"
    if isinstance(cell, str):
        return cell
    form = of.get("form")
    if form is None:
        raise ValueError(f"the column '{of['name']}' holds the number {cell} and has no form for it")
    if not isinstance(cell, dict):
        return _number(cell, form)
    if tuple(cell) not in SPREADS:
        raise ValueError(f"{', '.join(cell)}: no way is known to show numbers of these names together")
    return SPREADS[tuple(cell)].format(*(_number(value, form) for value in cell.values()))


def _number(value: float, form: str) -> str:
    if form == "short":
        form = ",.0f" if abs(value) >= 100 else ".3g"
    return format(value, form)
