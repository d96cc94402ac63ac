"""What goes into the database at once: entries in, one transaction out.

Rows and the number up to which they are committed are in the same transaction, so that every record becomes
exactly one row. A record that can't be a row is set aside as it came, and never holds up its neighbours.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import duckdb

from lessllm_collector import rows, spending
from lessllm_collector.cache import Correction
from lessllm_collector.spending import Booking

_ENTRY_BYTES = 1024  # numbers, and which values are NULL

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Entry:
    """What becomes of the numbers first_seq … last_seq of a gateway process.

    A record becomes a row, or is set aside for an error; if there is neither, the numbers are lost.
    """

    gateway_id: str
    first_seq: int
    last_seq: int
    row: dict[str, Any] | None = None
    error: str | None = None  # only its kind: its message may quote a prompt
    record: bytes = b""

    @property
    def size_bytes(self) -> int:
        """About what it takes in the database's log."""
        if self.row is None:
            return _ENTRY_BYTES + len(self.record)
        return _ENTRY_BYTES + sum(len(one) for one in self.row.values() if isinstance(one, (bytes, str)))


class Commit:
    """Entries in their order, with corrections of rows that were committed before."""

    def __init__(self, entries: Sequence[Entry], corrections: Sequence[Correction] = ()) -> None:
        self.entries = entries
        self.booked: Booking = {}  # once it is written
        self._corrections = corrections

    @property
    def watermarks(self) -> dict[str, int]:
        """How far each gateway process's records are once these are committed: they come in order."""
        return {entry.gateway_id: entry.last_seq for entry in self.entries}

    @property
    def size_bytes(self) -> int:
        """About what it takes in the database's log."""
        return sum(entry.size_bytes for entry in self.entries)

    def halves(self) -> "tuple[Commit, ...]":
        """Two that are the same, one after the other; none if it is of a single entry."""
        middle = len(self.entries) // 2
        if not middle:
            return ()
        return Commit(self.entries[:middle], self._corrections), Commit(self.entries[middle:])

    def write(self, connection: duckdb.DuckDBPyConnection) -> None:
        """All of it or nothing; what does not fit the table is set aside. Raises duckdb.Error."""
        try:
            in_transaction(connection, self._write)
        except rows.UNSTORABLE:
            self.entries = [_fitting(entry, connection) for entry in self.entries]
            in_transaction(connection, self._write)

    def _write(self, connection: duckdb.DuckDBPyConnection) -> None:
        found = [entry.row for entry in self.entries if entry.row is not None]
        if found:
            rows.insert(connection, found)
        if self._corrections:
            rows.correct(connection, self._corrections)
        for entry in self.entries:
            if entry.error is not None:
                rows.set_aside(connection, entry.gateway_id, entry.first_seq, entry.error, entry.record)
            elif entry.row is None:
                rows.add_lost(connection, entry.gateway_id, entry.first_seq, entry.last_seq)
        self.booked = spending.booking(found)
        spending.book(connection, self.booked)
        rows.set_committed(connection, self.watermarks)


def in_transaction(
    connection: duckdb.DuckDBPyConnection, work: Callable[[duckdb.DuckDBPyConnection], Result]
) -> Result:
    """The result of `work`, which is committed if it raises nothing, and else undone."""
    connection.begin()
    try:
        result = work(connection)
        connection.commit()
    except BaseException:
        _roll_back(connection)
        raise
    return result


def _fitting(entry: Entry, connection: duckdb.DuckDBPyConnection) -> Entry:
    """The entry, set aside if its row can't be inserted even alone."""
    if entry.row is None:
        return entry
    connection.begin()
    try:
        rows.insert(connection, [entry.row])
    except rows.UNSTORABLE as error:
        return replace(entry, row=None, error=type(error).__name__)
    finally:
        _roll_back(connection)
    return entry


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    # If there is nothing to roll back, the failure has ended the transaction.
    with contextlib.suppress(duckdb.Error):
        connection.rollback()
