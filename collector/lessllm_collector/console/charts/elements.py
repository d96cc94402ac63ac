"""Elements of SVG and HTML as escaped text: names, attributes and children in, markup out.

What no XML may hold, and what would turn the order of the text around it (bidi controls), is shown as �.
"""

import unicodedata
from collections.abc import Iterable

from markupsafe import Markup, escape

_UNFIT = {"Cc", "Cs", "Cf", "Cn"}  # controls, halves of pairs, formatting such as bidi, what is no character
_FIT = {"\t", "\n", "\u200c", "\u200d"}  # the last two join and part letters

Value = str | float | None


def element(name: str, *children: str, **attributes: Value) -> Markup:
    """One element. Children that are no markup are text. `class_` is class, `a_b` is a-b; None is none."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(_value(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    # Only names are taken as they are, which are our own.
    return Markup(f"<{name}{written}>{joined(children)}</{name}>")  # noqa: S704


def joined(parts: Iterable[str]) -> Markup:
    """Side by side."""
    return Markup("".join(part if isinstance(part, Markup) else text(part) for part in parts))  # noqa: S704


def text(words: str) -> Markup:
    """Escaped, and without what is no text."""
    if words.isascii() and words.isprintable():
        return escape(words)
    return escape("".join(c if c in _FIT or unicodedata.category(c) not in _UNFIT else "�" for c in words))


def percent(share: float) -> str:
    """A place or a length along the whole, of 0 to 1."""
    return f"{share * 100:.2f}%"


def _value(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
