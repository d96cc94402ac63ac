"""What all commands share: how their errors become words and exit codes."""

from collections.abc import Callable
from typing import Any

import click
from lessllm_shared.config import ConfigError

from lessllm.errors import LessLLMError
from lessllm.supervisor import StartFailed

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

config_option: Decorator = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, exists=True),
    help="The configuration. [default: ./lessllm.yaml, if it is there]",
)


class Failed(click.ClickException):
    """A command could not do what was asked. The message says what failed and what to do."""

    exit_code = 1


class Misconfigured(Failed):
    """Nothing was tried, since the configuration is wrong."""

    exit_code = 2


class Command(click.Command):
    """A command whose known errors become a message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            raise Misconfigured(f"configuration: {_indented(str(error))}") from None
        except StartFailed as error:
            raise (Misconfigured if error.exit_code == 2 else Failed)(str(error)) from None
        except LessLLMError as error:
            raise Failed(str(error)) from None


def _indented(problems: str) -> str:
    """One mistake stands beside its heading, several below it."""
    lines = problems.splitlines()
    return lines[0] if len(lines) == 1 else "".join(f"\n  {line}" for line in lines)
