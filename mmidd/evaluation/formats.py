"""Tables as Markdown, LaTeX, HTML and CSV. Names of datasets and methods are from outside: each format escapes them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from mmidd.evaluation.long import COLUMNS, Row
from mmidd.evaluation.tables import Table
from mmidd.show import printable
from mmidd.show.pages import in_csv, in_markdown, told
from mmidd.show.pages import page as shell

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "\"": r"\textquotedbl{}", "–": "--", "’": "'",
}  # fmt: skip


def markdown(title: str, tables: Iterable[Table], words: Sequence[str]) -> str:
    """GitHub's tables."""
    parts = [f"# {in_markdown(title)}", *(f"- {in_markdown(each)}" for each in words)]
    for table in tables:
        lines = [f"| {' | '.join(map(in_markdown, cells))} |" for cells in (table.heads, *table.rows)]
        lines.insert(1, f"|{' --- |' * len(table.heads)}")
        parts += [
            f"## {in_markdown(table.title)}",
            "\n".join(lines),
            "\n".join(f"- {in_markdown(each)}" for each in table.notes),
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def latex(tables: Iterable[Table]) -> str:
    """One `table` each, for \\usepackage{booktabs} and UTF-8."""
    parts = ["% needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}; made by mmidd"]
    for table in tables:
        body = [f"{' & '.join(map(tex, cells))} \\\\" for cells in (table.heads, *table.rows)]
        parts.append(
            "\n".join(
                [
                    r"\begin{table}", rf"\caption{{{tex(table.title)}}}", rf"\begin{{tabular}}{{{'l' * len(table.heads)}}}",
                    r"\toprule", body[0], r"\midrule", *body[1:], r"\bottomrule", r"\end{tabular}",
                    *(f"% {tex(each)}" for each in table.notes), r"\end{table}",
                ]
            )
        )  # fmt: skip
    return "\n\n".join(parts) + "\n"


def tex(text: str) -> str:
    """Text that LaTeX prints as it is. A row never begins with a bracket, which it would take for an option."""
    told = "".join(_LATEX.get(c, c) for c in printable(text))
    return f"{{{told}}}" if told.startswith(("[", "*")) else told


def page(title: str, tables: Iterable[Table], words: Sequence[str], pictures: Sequence[str]) -> str:
    """HTML that needs nothing but the pictures beside it; no script."""
    parts = [f"<h1>{told(title)}</h1>", *(f"<p>{told(each)}</p>" for each in words)]
    for table in tables:
        head = "".join(f"<th>{told(each)}</th>" for each in table.heads)
        body = "".join(f"<tr>{''.join(f'<td>{told(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
        notes = "".join(f"<p class='soft'>{told(each)}</p>" for each in table.notes)
        parts.append(f"<h2>{told(table.title)}</h2><div class='wide'><table><tr>{head}</tr>{body}</table></div>{notes}")
    parts += [f'<img src="{told(name)}" alt="{told(name)}">' for name in pictures]
    return shell(title, "\n".join(parts), "body { max-width: 70rem; } img { max-width: 100%; }", images="'self' file:")


def long_csv(rows: Iterable[Row]) -> str:
    """By COLUMNS. A name that a spreadsheet would take for a formula has an apostrophe before it."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([in_csv(each) for each in row.cells()] for row in rows)
    return file.getvalue()
