"""`lessllm server`: both services in the foreground, until Ctrl-C."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import httpx
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lessllm import __version__, state, tables
from lessllm.cli.command import Command, config_option
from lessllm.plan import DEFAULT_FILE, Overrides, Plan, find_document, make_plan
from lessllm.screen import note, show, width
from lessllm.server import serve

_PORT = click.IntRange(0, 65535)
_KEYS = {"configured": "configured", "environment": "environment", "client": "the client's"}


@click.command("server", cls=Command)
@click.option("--host", metavar="ADDRESS", help="Where the gateway listens, if not on 127.0.0.1.")
@click.option("--port", metavar="PORT", type=_PORT, help="The gateway's, if not 8000; 0: a free one.")
@click.option("--collector-port", metavar="PORT", type=_PORT, help="The collector's, if not 8001.")
@config_option
def command(host: str | None, port: int | None, collector_port: int | None, config_file: str | None) -> None:
    """Run the gateway and its collector until Ctrl-C, which lets running calls end first.

    \b
    Examples:
      lessllm server
      lessllm server --port 9000 --config lessllm.yaml
      ANTHROPIC_API_KEY=… lessllm server

    A provider's key comes from the configuration or the environment; without one, clients send their own.
    """
    overrides = Overrides(host=host, port=port, collector_port=collector_port)
    plan = make_plan(find_document(config_file), overrides)
    source = config_file or (str(DEFAULT_FILE) if DEFAULT_FILE.exists() else None)

    def on_ready(running: state.Running) -> None:
        show(*_banner(plan, running, source))

    asyncio.run(serve(plan, state.ServerState(plan.database), stays=True, on_ready=on_ready, say=note))


def _banner(plan: Plan, running: state.Running, source: str | None) -> Iterable[RenderableType]:
    facts = Table.grid(padding=(0, 2))
    facts.add_row("gateway", running.url)
    if running.collector_url is None:
        facts.add_row("collector", "none: logging.enabled is false, nothing is recorded")
    else:
        facts.add_row("collector", running.collector_url)
        facts.add_row("database", _short(plan.database))
    facts.add_row("configuration", source or "defaults")
    yield Text(f"LessLLM {__version__}\n", style="bold")
    yield facts
    yield Text(
        "\nPoint your application at it:\n"
        f"  export OPENAI_BASE_URL={running.url}/v1\n"
        f"  export ANTHROPIC_BASE_URL={running.url}\n"
    )
    yield _routes(_providers(running.url), set(plan.gateway.providers))
    yield Text("\nCtrl-C stops it.")


def _routes(providers: dict[str, Any], configured: set[str]) -> RenderableType:
    """Each provider's way out. Those that nobody set up are many and alike: one row for all of a kind."""
    rows: list[tuple[str, str, str]] = []
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, provider in providers.items():
        route, key = ", else ".join(provider["routes"]), _KEYS[provider["key"]]
        if name in configured or provider["key"] != "client":
            rows.append((name, f"{route} to {provider['base_url']}", key))
        else:
            alike[route, key].append(name)
    rows += [(_shortened(names), route, key) for (route, key), names in alike.items()]
    return tables.of_text([tables.Column(title) for title in ("provider", "route", "key")], rows, width())


def _shortened(names: list[str]) -> str:
    """The first two of many."""
    return ", ".join(names) if len(names) < 4 else f"{names[0]}, {names[1]} and {len(names) - 2} more"


def _short(path: Path) -> str:
    """Below the working directory: as it was configured."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _providers(url: str) -> dict[str, Any]:
    providers: dict[str, Any] = httpx.get(f"{url}/routes", trust_env=False).json()["providers"]
    return providers
