"""Two texts beside each other, for people: lines that are the same in one row, words that differ in colour.

Where there is no room for two columns, or no terminal, one stands below the other.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest

from lessllm_shared import figures
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lessllm.tables import UNLIMITED

_NARROWEST = 28  # a column
_STYLES = ("red", "green")
_ALIKE = 0.5  # lines that share less of their words are simply different
_MOST_WORDS = 2000  # comparing takes the square of it


def draw(titles: tuple[str, str], texts: tuple[str, str], width: int) -> RenderableType:
    """Both texts, titles above."""
    column_width = (width - 3) // 2
    left, right = ([figures.printable(line) for line in text.splitlines()] for text in texts)
    if width == UNLIMITED or column_width < _NARROWEST:
        return Group(_title(titles[0]), *map(Text, left), Text(""), _title(titles[1]), *map(Text, right))
    table = Table(box=box.MINIMAL, show_edge=False, pad_edge=False)
    for title in titles:
        table.add_column(_title(title), width=column_width, overflow="fold")
    for row in _rows(left, right):
        table.add_row(*row)
    return table


def _rows(left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[Text, Text]]:
    """Lines that are the same beside each other, and in between those that are not."""
    for _, i, i_end, j, j_end in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        for one, other in zip_longest(left[i:i_end], right[j:j_end]):
            if one is None or other is None:
                yield Text(one or "", _STYLES[0]), Text(other or "", _STYLES[1])
            else:
                yield _marked(one, other)


def _marked(left: str, right: str) -> tuple[Text, Text]:
    """Words that one line has and the other has not are in colour, if the lines are alike at all."""
    texts = Text(left), Text(right)
    words = [list(re.finditer(r"\S+", line)) for line in (left, right)]
    if left == right or max(map(len, words)) > _MOST_WORDS:
        return texts
    written = [[word[0] for word in line] for line in words]
    matcher = SequenceMatcher(None, written[0], written[1], autojunk=False)
    if matcher.ratio() < _ALIKE:
        return texts
    for kind, i, i_end, j, j_end in matcher.get_opcodes():
        if kind == "equal":
            continue
        for text, line, style in zip(texts, (words[0][i:i_end], words[1][j:j_end]), _STYLES, strict=True):
            if line:
                text.stylize(style, line[0].start(), line[-1].end())
    return texts


def _title(title: str) -> Text:
    return Text(title, "bold")
