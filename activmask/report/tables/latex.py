"""Tables as LaTeX, with the rules of its package booktabs."""

import re
from collections.abc import Iterable, Sequence

from activmask.report.tables.table import Table, one_line

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    **{char: f"{{{char}}}" for char in "[]*"},
}
"""The last three would belong to a line break that they follow."""


def latex(tables: Iterable[Table], notes: Sequence[str] = ()) -> str:
    """Tables, then notes as paragraphs."""
    parts = ["% \\usepackage{booktabs}", *map(latex_table, tables), *map(latex_text, notes)]
    return "\n\n".join(parts) + "\n"


def latex_table(table: Table) -> str:
    """A table captioned with its title, then its notes as paragraphs; what stands out is bold."""
    _, *rows = table.flat
    strong = [(False, *(cell.strong for cell in row.cells)) for row in table.rows]
    alignment = "".join("r" if column.numeric else "l" for column in table.columns)
    drawn = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_text(table.title)}}}",
        rf"\begin{{tabular}}{{{alignment}}}",
        *(r"\toprule", *_headings(table), r"\midrule", *map(_line, rows, strong), r"\bottomrule"),
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n\n".join(["\n".join(drawn), *map(latex_text, table.notes)])


def _headings(table: Table) -> list[str]:
    """Those over several columns with a rule under each, where there are such, then one per column."""
    titles = _line([column.title for column in table.columns], [False] * len(table.columns))
    wide = [group for group in table.groups if len(group.columns) > 1]
    if not wide:
        return [titles]
    above = (
        rf"\multicolumn{{{len(group.columns)}}}{{c}}{{{latex_text(group.title)}}}" if group in wide else ""
        for group in table.groups
    )
    rules = (rf"\cmidrule(lr){{{group.first + 1}-{group.first + len(group.columns)}}}" for group in wide)
    return [" & ".join(above) + r" \\", " ".join(rules), titles]


def _line(row: Sequence[str], strong: Sequence[bool]) -> str:
    cells = (
        rf"\textbf{{{latex_text(cell)}}}" if stands_out else latex_text(cell)
        for cell, stands_out in zip(row, strong, strict=True)
    )
    return " & ".join(cells) + r" \\"


def latex_text(text: str) -> str:
    """A text whose characters LaTeX prints as they are."""
    escaped = "".join(_LATEX.get(char, char) for char in one_line(text))
    return re.sub(r"(?<![\w.])-(?=\d)", "$-$", escaped)
