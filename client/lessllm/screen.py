"""Where text for people is printed: as wide as the terminal; into a pipe, as wide as it takes, no colours."""

import sys

from rich.console import Console, RenderableType
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


def note(text: str) -> None:
    """On stderr: stdout may be read by a program."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
