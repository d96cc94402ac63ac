"""Whom a command asks: the collector that --url names, the server that runs here, or one started to answer.

Options enter, a Connection leaves, valid for as long as its `with` block.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import click
from lessllm_shared.config import ClientSettings, load

from lessllm import local
from lessllm.cli.command import Decorator, Failed, config_option
from lessllm.collector_alone import collector_alone
from lessllm.connection import Connection, without_version
from lessllm.plan import Document, find_document
from lessllm.state import ServerState

json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")


def asking_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--url and --config."""
    url = click.option(
        "--url",
        metavar="URL",
        callback=_checked,
        help="The collector to ask, such as http://10.0.0.7:8001. [default: the server that runs here]",
    )
    return url(config_option(function))


@contextmanager
def connection(url: str | None, config_file: str | None) -> Iterator[Connection]:
    """Raises ConfigError, ServerError."""
    document = find_document(config_file)
    settings = load(ClientSettings, document)
    key = settings.collector.api_key.get_secret_value() if settings.collector.api_key else None
    with ExitStack() as stack:
        gateway_url = None
        if url is None and settings.server is not None:
            url, gateway_url = settings.server.collector_url, without_version(settings.server.url)
        if url is None:
            url, gateway_url = stack.enter_context(_here(document, settings))
        asked = Connection(collector_url=url, gateway_url=gateway_url, api_key=key)
        yield stack.enter_context(closing(asked))


@contextmanager
def _here(document: Document, settings: ClientSettings) -> Iterator[tuple[str, str | None]]:
    """The collector and, if it runs, the gateway of the database that is configured."""
    database = settings.logging.db_path.resolve()
    if (server := local.find(database)) is not None:
        with closing(server.lease):
            if server.running.collector_url is None:
                raise Failed(f"the server at {server.running.url} records nothing: logging.enabled is false")
            yield server.running.collector_url, server.running.url
    elif database.exists():
        with collector_alone(document, ServerState(database)) as url:
            yield url, None
    else:
        raise Failed(
            f"no server runs here, and there is no database at {database}:"
            " start one with `lessllm server`, or name a collector with --url"
        )


def _checked(context: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    del context, parameter
    if url is not None and not url.startswith(("http://", "https://")):
        raise click.BadParameter(f"{url!r} is not a URL like http://127.0.0.1:8001")
    return url
