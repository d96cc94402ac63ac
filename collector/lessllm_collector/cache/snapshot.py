"""What a predictor knows, in a file beside the database: calls' bodies, from which it came, may not be kept.

It holds hashes, counts and request ids, no prompt. One that can't be read, or is of another version, is as
good as none: predictions begin anew.
"""

import logging
from pathlib import Path

import msgspec

from lessllm_collector.cache.calls import Scope
from lessllm_collector.cache.index import Entry
from lessllm_collector.cache.predictor import Predictor
from lessllm_collector.store import beside

INTERVAL_S = 300.0
_VERSION = 4  # raised when hashes or entries change

log = logging.getLogger(__name__)


class _Snapshot(msgspec.Struct, array_like=True):
    version: int
    new: dict[bytes, Entry]
    old: dict[bytes, Entry]
    ratios: list[tuple[tuple[str, str, bool], float]]
    ages: list[tuple[tuple[str, int, int], tuple[int, int]]]
    scopes: list[Scope]


def path_of(database: Path) -> Path:
    """Where the snapshot of a database's calls is."""
    return database.with_name(f"{database.name}.cache")


def pack(predictor: Predictor) -> bytes:
    """All of it, on the thread that the predictor belongs to."""
    index = predictor.index
    ratios, ages = list(predictor.ratios.known.items()), list(predictor.ages.counts.items())
    return msgspec.msgpack.encode(
        _Snapshot(_VERSION, index.new, index.old, ratios, ages, predictor.scopes.all())
    )


def save(database: Path, packed: bytes) -> None:
    """Replaces the file, or leaves it as it is where there is no room."""
    part = beside(database)
    try:
        part.write_bytes(packed)
        part.replace(path_of(database))
    except OSError as error:
        part.unlink(missing_ok=True)
        log.warning("the cache predictor's knowledge is not saved: %s", error.strerror)


def load(database: Path, predictor: Predictor) -> None:
    """What was known when it was saved, into a new predictor."""
    try:
        found = msgspec.msgpack.decode(path_of(database).read_bytes(), type=_Snapshot)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        log.warning("cache predictions begin anew: the snapshot can't be read: %s", type(error).__name__)
        return
    if found.version == _VERSION:
        predictor.index.new, predictor.index.old = found.new, found.old
        predictor.ratios.known.update(found.ratios)
        predictor.ages.counts.update(found.ages)
        for scope in found.scopes:
            predictor.scopes.get(scope).begun_ns = 0
