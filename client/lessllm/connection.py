"""HTTP to a running server: questions for the collector, and the gateway's flush before them.

A question enters; Arrow, parsed JSON or bytes leave. Every failure becomes one of two errors, here and
nowhere else: ServerError when nothing (or something else) answers, QueryError when the collector refuses.
"""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from lessllm.errors import QueryError, ServerError

Parameters = Sequence[Any] | Mapping[str, Any]

JSON = "application/json"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
DUCKDB = "application/vnd.duckdb"

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_FLUSH_S = 5.0
# No idle connections are kept: after a fork, two processes would speak over one. On loopback a new one
# costs a tenth of a millisecond. How long a query may take is the collector's to say: reading waits.
_LIMITS = httpx.Limits(max_keepalive_connections=0)
_TIMEOUT = httpx.Timeout(10.0, read=600.0)


@dataclass(frozen=True)
class Answer:
    """A query's answer in the format that was asked for."""

    content: bytes
    truncated: bool
    elapsed_ms: float | None


class Connection:
    """A running server. Where only its collector is known (`gateway_url` None), nothing is flushed."""

    def __init__(self, *, collector_url: str, gateway_url: str | None, api_key: str | None) -> None:
        self.collector_url = collector_url.rstrip("/")
        self.gateway_url = gateway_url
        self._api_key = api_key
        self._collector = _client(self.collector_url)
        if api_key:
            self._collector.headers["authorization"] = f"Bearer {api_key}"
        self._gateway = _client(gateway_url) if gateway_url is not None else None

    def close(self) -> None:
        self._collector.close()
        if self._gateway is not None:
            self._gateway.close()

    def renewed(self) -> "Connection":
        """The same, with locks of its own: after a fork, those of this one may be held by nobody."""
        return Connection(
            collector_url=self.collector_url, gateway_url=self.gateway_url, api_key=self._api_key
        )

    def unflushed(self) -> "Connection":
        """The same, for questions that are asked again and again: what is recorded by then is enough."""
        return Connection(collector_url=self.collector_url, gateway_url=None, api_key=self._api_key)

    def flush(self) -> None:
        """Waits until the calls so far can be queried. A gateway that is away has nothing to flush."""
        if self._gateway is not None:
            with suppress(httpx.RequestError):
                self._gateway.post("/flush", params={"timeout_s": _FLUSH_S}, timeout=_FLUSH_S + 1)

    def query(self, sql: str, params: Parameters | None, max_rows: int | None, accept: str) -> Answer:
        """The answer to one SQL statement."""
        body = {"sql": sql, "params": params, "max_rows": max_rows}
        content = json.dumps({k: v for k, v in body.items() if v is not None}, default=_plain)
        self.flush()
        with self._asking("POST", "/query", content=content, headers=_typed(accept)) as response:
            if not response.headers.get("content-type", "").startswith(accept):
                raise ServerError(self._not_ours(response))
            elapsed = response.headers.get("x-lessllm-elapsed-ms")
            return Answer(
                response.read(),
                truncated=response.headers.get("x-lessllm-truncated") == "true",
                elapsed_ms=float(elapsed) if elapsed else None,
            )

    @contextmanager
    def export(self, filters: Mapping[str, Any]) -> Iterator[tuple[int | None, Iterator[bytes]]]:
        """How many rows there will be, if known, and the Parquet file in pieces."""
        self.flush()
        with self._asking("GET", "/export", params=_query_string(filters)) as response:
            rows = response.headers.get("x-lessllm-rows")
            yield int(rows) if rows else None, response.iter_bytes()

    @contextmanager
    def backup(self) -> Iterator[tuple[int | None, int | None, Iterator[bytes]]]:
        """How many bytes and how many calls there will be, if known, and the database in pieces."""
        self.flush()
        with self._asking("GET", "/backup") as response:
            if response.headers.get("content-type") != DUCKDB:
                raise ServerError(self._not_ours(response))
            size_bytes, rows = (response.headers.get(name) for name in ("content-length", "x-lessllm-rows"))
            yield int(size_bytes) if size_bytes else None, int(rows) if rows else None, response.iter_raw()

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """What the collector reports at `path`."""
        self.flush()
        return self._json("GET", path, params=_query_string(parameters))

    def call(self, request_id: str) -> dict[str, Any]:
        """One call, whole."""
        return self.get(_call_path(request_id))

    def call_content(self, request_id: str) -> bytes:
        """One call, whole, as the JSON that the collector sent: bodies in it are as they came."""
        self.flush()
        with self._asking("GET", _call_path(request_id)) as response:
            return response.read()

    def reanalyze(self, since: dt.datetime | str | None) -> int:
        """Works the derived columns out again. Returns for how many calls."""
        self.flush()
        body = json.dumps({"since": since} if since is not None else {}, default=_plain)
        return int(self._json("POST", "/reanalyze", content=body, headers=_typed(JSON))["rows"])

    def settings(self) -> dict[str, bool]:
        """What can be changed while the server runs."""
        return self._json("GET", "/settings")

    def change_settings(self, **changes: bool) -> None:
        self._json("PATCH", "/settings", content=json.dumps(changes), headers=_typed(JSON))

    def _json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        with self._asking(method, path, **request) as response:
            response.read()
            try:
                answer = response.json()
            except ValueError:
                raise ServerError(self._not_ours(response)) from None
        if not isinstance(answer, dict):
            raise ServerError(self._not_ours(response))
        return answer

    @contextmanager
    def _asking(self, method: str, path: str, **request: Any) -> Iterator[httpx.Response]:
        try:
            with self._collector.stream(method, path, **request) as response:
                if not response.is_success:
                    response.read()
                    raise self._refusal(response)
                yield response
        except httpx.ConnectError:
            raise ServerError(
                f"nothing answers at {self.collector_url}: start it with `lessllm server`,"
                " or say where the collector is"
            ) from None
        except httpx.RequestError as error:
            reason = str(error) or type(error).__name__
            raise ServerError(f"the collector at {self.collector_url} broke off: {reason}") from None

    def _refusal(self, response: httpx.Response) -> Exception:
        try:
            error = response.json()["error"]
            return QueryError(str(error["message"]), str(error["code"]))
        except (ValueError, KeyError, TypeError):
            return ServerError(self._not_ours(response))

    def _not_ours(self, response: httpx.Response) -> str:
        return (
            f"{self.collector_url} gave an answer that isn't a collector's (status {response.status_code}):"
            " is the URL right?"
        )


def without_version(url: str) -> str:
    """The gateway's own URL, where an SDK's base URL was given."""
    return url.rstrip("/").removesuffix("/v1")


def is_here(url: str) -> bool:
    """On this machine: the environment's proxies are for the way out, not for that."""
    return urlsplit(url).hostname in _LOOPBACK


def _client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, limits=_LIMITS, timeout=_TIMEOUT, trust_env=not is_here(url))


def _call_path(request_id: str) -> str:
    return f"/calls/{quote(request_id, safe='')}"


def _typed(accept: str) -> dict[str, str]:
    return {"content-type": JSON, "accept": accept}


def _query_string(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing for None, one parameter for each item of a list."""
    return {
        name: [_text(item) for item in value] if isinstance(value, list | tuple | set) else _text(value)
        for name, value in parameters.items()
        if value is not None
    }


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def _plain(value: object) -> str:
    """Dates and decimals have no form in JSON; the database reads their text."""
    return _text(value)
