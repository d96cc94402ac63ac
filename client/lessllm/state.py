"""Which local server runs for a database, and who uses it: one folder of small files, held by flock.

  start   held exclusively by whoever starts a server, so that two don't
  server  held exclusively by the server while it lives; its content says where it is reached
  lease   held shared by each process that uses the server. The server waits for it exclusively: it gets
          it when the last user is gone, and stops

The kernel drops a dead process's locks, a crashed one's too, so nothing here goes stale. The files
never hold a secret: a configuration is kept as a salted, slow hash, only to be compared.
"""

import fcntl
import hashlib
import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from lessllm.errors import ServerError

_POLL_S = 0.05
_CLAIM_S = 60.0


class Lock:
    """An open file that can be locked. Closing it gives the lock back; so does the end of the process."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def try_exclusive(self) -> bool:
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        return self._try(fcntl.LOCK_SH)

    def wait_exclusive(self) -> None:
        fcntl.flock(self.fd, fcntl.LOCK_EX)

    def _try(self, operation: int) -> bool:
        try:
            fcntl.flock(self.fd, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Never an explicit unlock: after a fork, that would take the parent's lock away."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Running:
    """A server that runs. `stays`: started by hand, so it doesn't end with its last user."""

    pid: int
    url: str
    collector_url: str | None  # None: logging is off
    database: str
    stays: bool
    salt: str
    configuration_hash: str

    def has_configuration(self, identity: bytes) -> bool:
        return secrets.compare_digest(self.configuration_hash, _slow_hash(identity, self.salt))


class ServerState:
    """The folder of one database's server."""

    def __init__(self, database: Path, environ: Mapping[str, str] = os.environ) -> None:
        name = hashlib.sha256(str(database).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self.folder = _home(environ) / name
        self.folder.mkdir(mode=0o700, exist_ok=True)

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @contextmanager
    def starting(self, timeout_s: float) -> Iterator[None]:
        """Alone in starting a server, or in finding the one that another process has just started."""
        with Lock(self.folder / "start") as lock:
            wait_for(lock.try_exclusive, timeout_s, "another process is still starting this server")
            yield

    def running(self) -> Running | None:
        """The server that is up now. None: there is none, or it is starting or stopping."""
        return _running(self.folder)

    def is_taken(self) -> bool:
        """A server lives, be it starting, up or stopping."""
        with Lock(self.folder / "server") as lock:
            return not lock.try_shared()

    def claim(self) -> Lock:
        """Held by a server for as long as it lives. Raises ServerError if another one lives."""
        lock = Lock(self.folder / "server")
        try:
            wait_for(lambda: self._is_claimed(lock), _CLAIM_S, "the server before this one hangs")
        except ServerError:
            lock.close()
            raise
        os.truncate(lock.fd, 0)
        return lock

    def _is_claimed(self, lock: Lock) -> bool:
        """Not yet, while one starts or stops, or somebody looks whether one lives."""
        if lock.try_exclusive():
            return True
        if (other := self.running()) is not None:
            raise ServerError(
                f"a server for {other.database} runs already at {other.url} (process {other.pid})"
            )
        return False

    def lease(self) -> Lock:
        return Lock(self.folder / "lease")

    def in_use_by_others(self) -> bool:
        """Some process holds a lease (the caller having given its own back)."""
        with self.lease() as lock:
            return not lock.try_exclusive() and lock.try_shared()


def all_running(environ: Mapping[str, str] = os.environ) -> list[Running]:
    """This user's servers, of any database."""
    found = (_running(folder) for folder in _home(environ).iterdir() if folder.is_dir())
    return [running for running in found if running is not None]


def announce(
    claim: Lock, *, identity: bytes, url: str, collector_url: str | None, database: Path, stays: bool
) -> Running:
    """Writes where a server is reached into the file that it holds: from now on it can be found."""
    salt = secrets.token_hex(16)
    running = Running(
        pid=os.getpid(),
        url=url,
        collector_url=collector_url,
        database=str(database),
        stays=stays,
        salt=salt,
        configuration_hash=_slow_hash(identity, salt),
    )
    os.pwrite(claim.fd, json.dumps(asdict(running)).encode(), 0)
    return running


def withdraw(claim: Lock) -> None:
    """The server is stopping: nobody is to find it any more."""
    os.truncate(claim.fd, 0)


def wait_for(condition: Callable[[], bool], timeout_s: float, otherwise: str) -> None:
    """Polls until `condition` holds. Raises ServerError with `otherwise` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise ServerError(f"{otherwise} (waited {timeout_s:g} s)")
        time.sleep(_POLL_S)


def _running(folder: Path) -> Running | None:
    with Lock(folder / "server") as lock:
        content = b"" if lock.try_shared() else os.pread(lock.fd, 65_536, 0)
    return Running(**json.loads(content)) if content else None


def _slow_hash(identity: bytes, salt: str) -> str:
    return hashlib.scrypt(identity, salt=salt.encode(), n=2**14, r=8, p=1).hex()


def _home(environ: Mapping[str, str]) -> Path:
    """This user's own state folder; below the temporary one when there is no home that can be written."""
    candidates = [Path(tempfile.gettempdir()) / f"lessllm-{os.getuid()}"]
    if base := environ.get("XDG_STATE_HOME"):
        candidates.insert(0, Path(base) / "lessllm")
    elif home := environ.get("HOME"):
        candidates.insert(0, Path(home) / ".local" / "state" / "lessllm")
    for folder in candidates:
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_uid == os.getuid():
                folder.chmod(0o700)
                return folder
    raise ServerError(
        f"no folder for LessLLM's state can be written; tried {', '.join(map(str, candidates))}"
    )
