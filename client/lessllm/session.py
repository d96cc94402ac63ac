"""The Python API's state: which server this process uses, and what it was told before there was one.

One Client belongs to the module `lessllm`; tests make their own. It configures, starts or attaches,
asks, and shuts down. Threads may share it: its lock is held while a server starts or ends, never while
a query runs. After a fork, the child goes on with the parent's server, over connections of its own.
"""

import atexit
import datetime as dt
import logging
import os
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lessllm_shared.config import ClientSettings, ConfigError, load

from lessllm import local
from lessllm.connection import ARROW, Connection, Parameters, without_version
from lessllm.errors import LessLLMError, ServerError
from lessllm.export import Progress, save
from lessllm.plan import SWITCHES, Document, Overrides, Plan, find_document, make_plan
from lessllm.result import QueryResult

Configuration = Mapping[str, Any] | str | os.PathLike[str]
Moment = dt.date | str  # a datetime is a date

_log = logging.getLogger("lessllm")


@dataclass(frozen=True)
class Session:
    """A server in use: attached to, or local and leased."""

    url: str
    connection: Connection | None  # None: logging is off, so nobody can be asked
    server: local.LocalServer | None

    def ask(self) -> Connection:
        if self.connection is None:
            raise ServerError("nothing is recorded, so nothing can be asked: set logging.enabled to true")
        return self.connection

    def lives(self) -> bool:
        """A local server may have been stopped, or killed. Whom we attached to is not ours to judge."""
        return self.server is None or self.server.folder.running() == self.server.running

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
        if self.server is not None:
            self.server.release()


class Client:
    """What `import lessllm` does, as an object."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._session: Session | None = None
        self._document: Document | None = None  # None: nothing was configured
        self._overrides = Overrides()
        _live_until_exit(self)

    def configure(self, configuration: Configuration | None = None) -> None:
        """Starts a local server, or attaches to a running one (`server`). It is ready when this returns.

        A dict, the path of a YAML file, or None: ./lessllm.yaml if it is there, else the defaults.
        Called again with another configuration, it replaces the server.
        Raises ConfigError with every mistake named, ServerError if no server could be started.
        """
        document = find_document(configuration)
        settings = _settings(document)
        with self._lock:
            plan = make_plan(document, self._overrides) if settings.server is None else None
            if self._session is not None and plan is not None and self._serves(self._session, plan):
                self._document = document
                self._apply_switches(self._session, plan)
                return
            self._end_session()
            self._document = document
            self._session = self._open(document, settings, plan)

    def get_proxy_url(self) -> str:
        """The base URL for an OpenAI SDK: it ends with /v1. Anthropic's SDK takes it without."""
        return f"{self._use().url}/v1"

    def query(self, sql: str, params: Parameters | None = None, max_rows: int | None = None) -> QueryResult:
        """The answer to one SQL statement over `api_calls`; it sees every call that has ended.

        `params` fill ? or $name. Raises QueryError if the SQL is refused, ServerError if nobody answers.
        """
        answer = self._use().ask().query(sql, params, max_rows, ARROW)
        from lessllm import arrow  # noqa: PLC0415 - pyarrow takes longer to import than all the rest

        table = arrow.read(answer.content)
        return QueryResult(table, truncated=answer.truncated, elapsed_ms=answer.elapsed_ms)

    def export_logs(
        self,
        filepath: str | os.PathLike[str],
        start_date: Moment | None = None,
        end_date: Moment | None = None,
        filters: Mapping[str, Any] | None = None,
        *,
        progress: Progress | None = None,
    ) -> int | None:
        """Writes calls as Parquet: from `start_date`, before `end_date`, whose columns are as `filters` say.

        A filter's value is one value or a list of them. Returns how many calls, if known. The file is
        whole or not there: raises OSError if it can't be written, else what `query` raises.
        """
        wanted = {**(filters or {}), "start_date": start_date, "end_date": end_date}
        return save(self._use().ask(), filepath, wanted, progress or _no_progress)

    def get_usage_stats(self, days: int = 7) -> dict[str, Any]:
        """Calls, errors, tokens, cost and times of the last `days` days, in total and by model."""
        return self._use().ask().get("/stats", days=days)

    def get_suggestions(self, days: int = 7) -> dict[str, Any]:
        """What prompt caches could have saved in the last `days` days: docs/suggestions.md."""
        return self._use().ask().get("/suggestions", days=days)

    def flush(self) -> None:
        """Waits until the calls so far can be queried. `query` and the others do it by themselves."""
        self._use().ask().flush()

    def shutdown(self) -> None:
        """Ends the use of the server: a local one stops with its last user. Happens at exit by itself."""
        with self._lock:
            self._end_session()

    def switch(self, name: str) -> bool:
        """What can be changed while a server runs, as it is now."""
        session = self._session
        if session is not None and session.connection is not None:
            return bool(session.connection.settings()[name])
        told: bool | None = getattr(self._overrides, name)
        if told is not None:
            return told
        settings = load(ClientSettings, find_document(self._document))
        return bool(getattr(settings.logging, name))

    def change_switch(self, name: str, value: bool) -> None:
        """Changes the running server, and is remembered for one that is started later."""
        with self._lock:
            change: dict[str, Any] = {name: value}
            self._overrides = replace(self._overrides, **change)
            if self._session is not None and self._session.connection is not None:
                self._session.connection.change_settings(**{name: value})

    def after_fork(self) -> None:
        """In the child. Another thread may have held the lock; it doesn't exist here."""
        self._lock = threading.RLock()
        if self._session is not None and self._session.connection is not None:
            self._session = replace(self._session, connection=self._session.connection.renewed())

    def _use(self) -> Session:
        session = self._session
        if session is not None and session.lives():
            return session
        with self._lock:
            if self._session is None or not self._session.lives():
                self._end_session()
                document = find_document(self._document)
                self._session = self._open(document, load(ClientSettings, document), None)
            return self._session

    def _open(self, document: Document, settings: ClientSettings, plan: Plan | None) -> Session:
        key = settings.collector.api_key.get_secret_value() if settings.collector.api_key else None
        if settings.server is not None:
            url = without_version(settings.server.url)
            connection = Connection(collector_url=settings.server.collector_url, gateway_url=url, api_key=key)
            session = Session(url, connection, None)
            self._apply_switches(session, plan)
            return session
        # Who configured nothing takes the server that runs, whatever its configuration.
        server = local.find(settings.logging.db_path.resolve()) if self._document is None else None
        if server is None:
            plan = plan or make_plan(document, self._overrides)
            server = local.find_or_start(plan)
        try:
            session = _local_session(server, key)
            self._apply_switches(session, plan)
        except BaseException:  # Ctrl-C too ends the use of a server that nobody knows of yet
            server.release()
            raise
        return session

    def _apply_switches(self, session: Session, plan: Plan | None) -> None:
        """A server that ran already may have been told otherwise."""
        logging_section = plan.collector.logging if plan is not None else None
        wanted = {}
        for name in sorted(SWITCHES):
            value = getattr(self._overrides, name)
            if value is None and logging_section is not None and name in logging_section.model_fields_set:
                value = getattr(logging_section, name)
            if value is not None:
                wanted[name] = value
        if wanted and session.connection is not None:
            session.connection.change_settings(**wanted)

    def _serves(self, session: Session, plan: Plan) -> bool:
        return (
            session.server is not None
            and session.lives()
            and session.server.running.database == str(plan.database)
            and session.server.running.has_configuration(plan.identity)
        )

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


def _settings(document: Document) -> ClientSettings:
    try:
        return load(ClientSettings, document)
    except ConfigError:
        make_plan(document, Overrides())  # raises too, and names the other sections' mistakes beside ours
        raise


def _local_session(server: local.LocalServer, key: str | None) -> Session:
    running = server.running
    connection = None
    if running.collector_url is not None:
        connection = Connection(collector_url=running.collector_url, gateway_url=running.url, api_key=key)
    return Session(running.url, connection, server)


def _no_progress(received_bytes: int, rows: int | None) -> None:
    pass


def _live_until_exit(client: Client) -> None:
    """Without keeping it alive: a Client that nobody has any more gives its lease back by itself."""
    reference = weakref.ref(client)

    def at_exit() -> None:
        if (client := reference()) is not None:
            try:
                client.shutdown()
            except LessLLMError as error:
                _log.warning("%s", error)

    def in_child() -> None:
        if (client := reference()) is not None:
            client.after_fork()

    atexit.register(at_exit)
    os.register_at_fork(after_in_child=in_child)
