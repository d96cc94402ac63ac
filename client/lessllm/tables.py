"""Tables for people, in a terminal of any width.

Columns and rows of text enter. If they fit, a table leaves; if they don't, each row becomes a block of
`name  value` lines, as psql does: no heading and no number is ever cut. Cells are text, never markup.
"""

import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lessllm_shared import figures
from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

_NARROWEST_TEXT = 20  # a column of long text may be folded down to this
_GAP = 2  # a column's padding, and the box's blank between columns
UNLIMITED = 100_000  # a pipe has no width


@dataclass(frozen=True)
class Column:
    """A heading, and whether what is below are figures: those stand at the right and are never folded."""

    title: str
    is_number: bool = False


def of_values(
    names: Sequence[str], rows: Sequence[Sequence[Any]], width: int, *, longest_cell: int | None = None
) -> RenderableType:
    """A table of any values, as a query returns them. Text longer than `longest_cell` is cut, and says so."""
    columns = [Column(name, any(_is_number(row[i]) for row in rows)) for i, name in enumerate(names)]
    cells = [
        [_cut(figures.cell(value, name), longest_cell) for name, value in zip(names, row, strict=True)]
        for row in rows
    ]
    return of_text(columns, cells, width)


def of_text(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> RenderableType:
    """A table of cells that are written already."""
    needed = [_needed(column, [row[i] for row in rows]) for i, column in enumerate(columns)]
    if len(rows) and sum(needed) + _GAP * len(columns) > width:
        return Group(*(_block(columns, row, width) for row in rows))
    table = Table(
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold"
    )
    for column, least in zip(columns, needed, strict=True):
        table.add_column(
            Text(column.title),
            justify="right" if column.is_number else "left",
            min_width=least,
            no_wrap=column.is_number,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def whole_or_parts(
    columns: Sequence[Column], parts: Sequence[Collection[str]], rows: Sequence[Sequence[str]], width: int
) -> Iterator[RenderableType]:
    """One table, or where that is too wide, one for each part: the titles of its columns."""
    whole = of_text(columns, rows, width)
    if isinstance(whole, Table):
        yield whole
        return
    for number, titles in enumerate(parts):
        if number:
            yield Text("")
        shown = [i for i, column in enumerate(columns) if column.title in titles]
        yield of_text([columns[i] for i in shown], [[row[i] for i in shown] for row in rows], width)


def of_most_important(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> RenderableType:
    """As many columns as fit, from the first on, which is never left out. What is left out is named."""
    needed = [_needed(column, [row[i] for row in rows]) for i, column in enumerate(columns)]
    shown = len(columns)
    while shown > 1 and sum(needed[:shown]) + _GAP * shown > width:
        shown -= 1
    table = of_text(columns[:shown], [row[:shown] for row in rows], width)
    if shown == len(columns):
        return table
    left_out = ", ".join(column.title for column in columns[shown:])
    return Group(table, Text(f"(a wider terminal shows {left_out} too)", style="dim"))


def as_text(renderable: RenderableType, width: int | None) -> str:
    """Plain text without colours. `width` None: as wide as it takes."""
    console = Console(file=io.StringIO(), width=width or UNLIMITED, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _needed(column: Column, cells: Sequence[str]) -> int:
    widest = max((cell_len(cell) for cell in cells), default=0)
    return max(cell_len(column.title), widest if column.is_number else min(widest, _NARROWEST_TEXT))


def _block(columns: Sequence[Column], row: Sequence[str], width: int) -> RenderableType:
    block = Table(box=None, show_header=False, pad_edge=False)
    block.add_column(style="bold", no_wrap=True)
    block.add_column(overflow="fold")
    for column, cell in zip(columns, row, strict=True):
        block.add_row(Text(column.title), Text(cell))
    return Group(Text("─" * min(width, 40), style="dim"), block)


def _cut(text: str, longest: int | None) -> str:
    if longest is None or len(text) <= longest:
        return text
    return f"{text[:longest]}… ({len(text) - longest:,} characters more)"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
