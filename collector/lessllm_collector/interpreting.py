"""Batches of records in, what is to be committed of them out.

Records are interpreted and predicted here, once, however often and in whatever parts they are committed:
predictions learn from each call. One record after the other: a request's body is parsed once for both.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from lessllm_shared import record as call_record

from lessllm_collector.bodies import Policy, as_kept
from lessllm_collector.cache import Predictor
from lessllm_collector.commit import Commit, Entry
from lessllm_collector.inbox import Batch
from lessllm_collector.interpret import Prices, Seen, interpret
from lessllm_collector.parsed import Parsed
from lessllm_collector.switches import Switches


class Interpreter:
    """Used on the writer's thread alone."""

    def __init__(
        self,
        prices: Prices,
        switches: Switches,
        bodies: Policy = "full",
        predictor: Predictor | None = None,
    ) -> None:
        self._prices = prices
        self._switches = switches
        self._bodies = bodies
        self._predictor = predictor
        self._seen_texts = Seen()
        self._parsed = Parsed()

    def read(self, batches: Iterable[Batch]) -> Commit:
        """An entry for each record, and for each range of lost ones."""
        entries: list[Entry] = []
        rows = self._rows(batches, entries)
        corrections = []
        if self._predictor is not None and self._switches.enable_cache_analysis:
            corrections = self._predictor.score(rows, self._parsed)
        else:
            deque(rows, maxlen=0)
        self._parsed.forget()
        return Commit([self._as_kept(entry) for entry in entries], corrections)

    def _rows(self, batches: Iterable[Batch], entries: list[Entry]) -> Iterator[dict[str, Any]]:
        """Those of the `entries`, to which all are added."""
        for batch in batches:
            for entry in self._entries(batch):
                entries.append(entry)
                if entry.row is not None:
                    yield entry.row

    def _entries(self, batch: Batch) -> Iterator[Entry]:
        if batch.records is None:
            yield Entry(batch.gateway_id, batch.first_seq, batch.last_seq)
            return
        for sequence, data in enumerate(batch.records, batch.first_seq):
            # Whether a record's call failed can't be told: its bodies are kept only where all are.
            entry = Entry(
                batch.gateway_id, sequence, sequence, record=data if self._bodies == "full" else b""
            )
            try:
                record = call_record.decode(data)
            except ValueError as error:
                yield replace(entry, error=type(error).__name__)
                continue
            row = interpret(
                record,
                gateway_id=batch.gateway_id,
                sequence=sequence,
                prices=self._prices,
                seen_texts=self._seen_texts,
                parse=self._parsed,
            )
            yield replace(entry, row=row)

    def _as_kept(self, entry: Entry) -> Entry:
        return entry if entry.row is None else replace(entry, row=as_kept(entry.row, self._bodies))
