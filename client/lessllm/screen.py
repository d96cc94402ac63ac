"""Where text for people is printed: as wide as the terminal; into a pipe, as wide as it takes, no colours."""

import sys

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from lessllm import tables


def show(*parts: RenderableType | str) -> None:
    """On stdout. Strings are text, never markup."""
    console = Console(highlight=False)
    for part in parts:
        renderable = Text(part) if isinstance(part, str) else part
        if console.is_terminal:
            console.print(renderable)
        else:
            sys.stdout.write(tables.as_text(renderable, None) + "\n")


def width() -> int:
    """Columns to print in."""
    console = Console()
    return console.width if console.is_terminal else tables.UNLIMITED


def has_colours() -> bool:
    """What is printed can have them."""
    console = Console()
    return console.is_terminal and console.color_system is not None


def note(text: str) -> None:
    """On stderr: stdout may be read by a program."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def progress_bar() -> Progress:
    """Of bytes that arrive; on a terminal only, and gone when they are here."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def counting_bar() -> Progress:
    """Of calls that are made; on a terminal only, and gone when they are."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
