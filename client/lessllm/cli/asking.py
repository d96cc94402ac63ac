"""Whom a command asks: the collector that --url names, the server that runs here, or one started to answer.

Options enter, a Connection leaves, valid for as long as its `with` block.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from typing import Any

import click
from lessllm_shared.config import ClientSettings, load

from lessllm import local
from lessllm.cli.command import Decorator, Failed, config_option
from lessllm.collector_alone import collector_alone
from lessllm.connection import JSON, Connection, without_version
from lessllm.plan import Document, find_document
from lessllm.state import ServerState

_Urls = tuple[str, str | None]  # the collector's, and the gateway's if it is known

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


def calling_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Those, and where calls are sent."""
    gateway_url = click.option(
        "--gateway-url",
        metavar="URL",
        callback=_checked,
        help="The gateway to send to, such as http://10.0.0.7:8000, if --url names a collector.",
    )
    key = click.option(
        "--api-key-env",
        metavar="NAME",
        callback=_set,
        help="The environment variable that holds your key. [default: as for an SDK, such as OPENAI_API_KEY]",
    )
    return gateway_url(key(asking_options(function)))


@contextmanager
def connection(url: str | None, config_file: str | None) -> Iterator[Connection]:
    """Raises ConfigError, ServerError."""
    document = find_document(config_file)
    settings = load(ClientSettings, document)
    with ExitStack() as stack:
        urls = _named(url, settings) or stack.enter_context(_server_here(settings))
        if urls is None:
            urls = stack.enter_context(_collector_here(document, settings)), None
        yield stack.enter_context(_asked(*urls, settings))


@contextmanager
def calling(
    url: str | None, gateway_url: str | None, config_file: str | None
) -> Iterator[tuple[Connection, str]]:
    """Whom to ask, and the URL of the gateway whose calls it records. Raises ConfigError, ServerError."""
    settings = load(ClientSettings, find_document(config_file))
    with ExitStack() as stack:
        urls = _named(url, settings) or stack.enter_context(_server_here(settings))
        if urls is None:
            raise Failed(
                f"no server runs here for {settings.logging.db_path.resolve()}:"
                " start one with `lessllm server`, or name one with --url and --gateway-url"
            )
        gateway_url = without_version(gateway_url) if gateway_url else urls[1]
        if gateway_url is None:
            raise click.UsageError(f"--gateway-url is missing: the gateway that records to {urls[0]}")
        yield stack.enter_context(_asked(urls[0], gateway_url, settings)), gateway_url


def whole_id(asked: Connection, request_id: str) -> str:
    """The id of which that is the end. One that nobody knows is left as it is."""
    if "-" in request_id:
        return request_id
    sql = "SELECT request_id FROM api_calls WHERE right(request_id, ?) = ? LIMIT 2"
    found = json.loads(asked.query(sql, [len(request_id), request_id], None, JSON).content)["rows"]
    if len(found) > 1:
        raise Failed(f"several calls have ids that end with {request_id}: give more of it")
    return str(found[0][0]) if found else request_id


def _named(url: str | None, settings: ClientSettings) -> _Urls | None:
    """By --url or the configuration."""
    if url is not None:
        return url, None
    if settings.server is not None:
        return settings.server.collector_url, without_version(settings.server.url)
    return None


@contextmanager
def _server_here(settings: ClientSettings) -> Iterator[_Urls | None]:
    """Of the database that is configured, if one runs."""
    server = local.find(settings.logging.db_path.resolve())
    if server is None:
        yield None
        return
    with closing(server.lease):
        if server.running.collector_url is None:
            raise Failed(f"the server at {server.running.url} records nothing: logging.enabled is false")
        yield server.running.collector_url, server.running.url


@contextmanager
def _collector_here(document: Document, settings: ClientSettings) -> Iterator[str]:
    """One that is started to answer."""
    database = settings.logging.db_path.resolve()
    if not database.exists():
        raise Failed(
            f"no server runs here, and there is no database at {database}:"
            " start one with `lessllm server`, or name a collector with --url"
        )
    with collector_alone(document, ServerState(database)) as url:
        yield url


def _asked(
    collector_url: str, gateway_url: str | None, settings: ClientSettings
) -> AbstractContextManager[Connection]:
    key = settings.collector.api_key.get_secret_value() if settings.collector.api_key else None
    return closing(Connection(collector_url=collector_url, gateway_url=gateway_url, api_key=key))


def _set(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    del context, parameter
    if name is not None and not os.environ.get(name):
        raise click.BadParameter(f"the environment variable {name} is not set")
    return name


def _checked(context: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    del context, parameter
    if url is not None and not url.startswith(("http://", "https://")):
        raise click.BadParameter(f"{url!r} is not a URL like http://127.0.0.1:8001")
    return url
