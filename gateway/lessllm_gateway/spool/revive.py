"""What a killed process left, as an outbox that goes on where the collector is.

Its numbers continue: those on disk are sent from there; calls whose record was in memory alone, or that had
not ended, become a record of their own that says so; all other numbers are declared lost.
"""

import msgspec
from lessllm_shared import record as rec
from lessllm_shared.record import CallRecord, EndReason

from lessllm_gateway.memory import Budget
from lessllm_gateway.outbox import Outbox
from lessllm_gateway.spool.home import Leftover
from lessllm_gateway.spool.open_calls import OpenCall

KILLED = "gateway_killed"


def revive(leftover: Leftover, committed: int, budget: Budget) -> Outbox:
    """The outbox of a leftover of which the collector has everything up to `committed`, and no more.

    Raises OSError.
    """
    outbox = Outbox(leftover.gateway_id, budget, committed)
    stretches = leftover.segments.stretches
    leftover.number_calls(
        max(committed, *(last for _, last in stretches), *(call.seq for call in leftover.calls), 0) + 1
    )
    killed = {call.seq: call for call in leftover.calls}
    on_disk = [(first, last) for first, last in stretches if last > committed]
    in_memory = [(seq, seq) for seq in killed if seq > committed and not _within(seq, on_disk)]
    for first, last in sorted(on_disk + in_memory):
        if first > outbox.next_seq:
            outbox.add_lost(first - outbox.next_seq)
        if (first, last) in on_disk:
            outbox.add_on_disk(last + 1 - outbox.next_seq)
        else:
            outbox.add(_killed(killed[first], leftover.opened))
    return outbox


def _within(seq: int, stretches: list[tuple[int, int]]) -> bool:
    return any(first <= seq <= last for first, last in stretches)


def _killed(call: OpenCall, opened: dict[str, CallRecord]) -> bytes:
    """A record that says what became of the call, with what was known of it."""
    known = opened.get(call.request_id) or CallRecord(
        request_id=call.request_id, t0_unix_ns=call.t0_unix_ns, end_reason=EndReason.GATEWAY_ERROR
    )
    return rec.encode(
        msgspec.structs.replace(
            known,
            end_reason=EndReason.GATEWAY_ERROR,
            error_code=KILLED,
            error_message="the gateway was killed before the record of this call was safe",
        )
    )
