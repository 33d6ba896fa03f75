"""Tables as Markdown, LaTeX, HTML and CSV. Names of datasets and methods are from outside: each format escapes them."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Iterable, Sequence

from mmidd.evaluation.long import COLUMNS, Row
from mmidd.evaluation.tables import Table
from mmidd.show import printable

_MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~!$])")
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "\"": r"\textquotedbl{}", "–": "--", "’": "'",
}  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def markdown(title: str, tables: Iterable[Table], words: Sequence[str]) -> str:
    """GitHub's tables."""
    parts = [f"# {_md(title)}", *(f"- {_md(each)}" for each in words)]
    for table in tables:
        lines = [f"| {' | '.join(map(_md, cells))} |" for cells in (table.heads, *table.rows)]
        lines.insert(1, f"|{' --- |' * len(table.heads)}")
        parts += [f"## {_md(table.title)}", "\n".join(lines), "\n".join(f"- {_md(each)}" for each in table.notes)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _md(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", html.escape(printable(text), quote=False)) or " "


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
    parts = [f"<h1>{_html(title)}</h1>", *(f"<p>{_html(each)}</p>" for each in words)]
    for table in tables:
        head = "".join(f"<th>{_html(each)}</th>" for each in table.heads)
        body = "".join(f"<tr>{''.join(f'<td>{_html(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
        notes = "".join(f"<p class='soft'>{_html(each)}</p>" for each in table.notes)
        parts.append(f"<h2>{_html(table.title)}</h2><div><table><tr>{head}</tr>{body}</table></div>{notes}")
    parts += [f'<img src="{_html(name)}" alt="{_html(name)}">' for name in pictures]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src "
        "'self' file:; base-uri 'none'; form-action 'none'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_html(title)}</title>\n<style>body{{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;"
        "padding:0 1rem}td,th{text-align:left;padding:.2rem .7rem .2rem 0;border-bottom:1px solid #ddd}div{overflow-x:auto}"
        ".soft{color:#666;margin:.2rem 0}img{max-width:100%}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _html(text: str) -> str:
    return html.escape(printable(text))


def long_csv(rows: Iterable[Row]) -> str:
    """By COLUMNS. A name that a spreadsheet would take for a formula has an apostrophe before it."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(each) for each in row.cells()] for row in rows)
    return file.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str):
        told = printable(value)
        return f"'{told}" if told.startswith(_FORMULA) else told
    return "" if value is None else value
