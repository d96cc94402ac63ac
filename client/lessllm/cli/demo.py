"""`lessllm demo`: see lessllm.demo."""

from pathlib import Path

import click

from lessllm import demo
from lessllm.cli.command import Command, Failed
from lessllm.demo.stage import DATABASE

_UNTIL_CTRL_C = "-"  # --keep without a folder


@click.command("demo", cls=Command)
@click.option(
    "--calls", metavar="N", type=click.IntRange(1, 10_000), default=64, help="How many. [default: 64]"
)
@click.option(
    "--keep",
    metavar="[FOLDER]",
    is_flag=False,
    flag_value=_UNTIL_CTRL_C,
    help="Leave it running until Ctrl-C; the database stays in FOLDER, if one is given.",
)
@click.option("--seed", metavar="N", type=int, default=0, help="Another workload. [default: 0]")
def command(calls: int, keep: str | None, seed: int) -> None:
    """See LessLLM work: no key, no network, no set-up. A simulated provider answers as OpenAI and Anthropic
    do, prompt caches and errors included; a small workload goes to it through a server of the demo's own,
    and what was recorded is shown. It takes about half a minute, and leaves nothing behind.

    \b
    Examples:
      lessllm demo
      lessllm demo --keep              and look into it from another terminal
      lessllm demo --keep ./demo       and keep the database
    """
    folder = Path(keep) if keep not in (None, _UNTIL_CTRL_C) else None
    if folder is not None:
        _check(folder)
    demo.run(calls=calls, seed=seed, folder=folder, stays=keep is not None)


def _check(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failed(f"{folder}: can't be made: {error.strerror}") from None
    if (folder / DATABASE).exists():
        raise Failed(f"{folder / DATABASE}: is there already; name another folder")
