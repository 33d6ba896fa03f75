"""Pages and tables of text from outside: each format escapes what it would take for its own. No page has a script or asks
anything of anybody."""

from __future__ import annotations

import html
import re
from importlib.resources import files

from mmidd.show import printable

_MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~!$])")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def told(text: object) -> str:
    """As HTML shows it: no markup, no control character."""
    return html.escape(printable(str(text)))


def in_markdown(text: str) -> str:
    """As Markdown shows it, in one cell."""
    return _MARKDOWN.sub(r"\\\1", html.escape(printable(text), quote=False)) or " "


def in_csv(value: object) -> object:
    """A cell of a CSV file, which no spreadsheet takes for a formula."""
    if not isinstance(value, str):
        return "" if value is None else value
    shown = printable(value)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def page(title: str, body: str, style: str = "", *, images: str = "") -> str:
    """A whole page of escaped parts. `style`: CSS beside that of all pages (`page.css`); `images`: where pictures may come
    from, in the words of a Content-Security-Policy (nowhere)."""
    css = files("mmidd.show").joinpath("page.css").read_text(encoding="utf-8")
    allowed = f"img-src {images}; " if images else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; {allowed}"
        "base-uri 'none'; form-action 'none'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{told(title)}</title>\n<style>{css}{style}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
