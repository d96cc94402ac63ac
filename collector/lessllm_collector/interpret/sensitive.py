"""Sensitive data in a record's request: kind → number, as the gateway found it or as it is found here."""

from collections.abc import Callable
from typing import Any

from lessllm_shared.record import CallRecord
from lessllm_shared.sensitive.kinds import KINDS
from lessllm_shared.sensitive.requests import Seen, count


def findings(record: CallRecord, seen: Seen, parse: Callable[[bytes], Any]) -> dict[str, int] | None:
    """None: it was not to be looked at, or holds no JSON. What the gateway took out is not here any more."""
    if record.sensitive_findings is not None:
        return {kind: n for kind, n in record.sensitive_findings.items() if kind in KINDS and n > 0}
    if record.sensitive_policy == "off":
        return None
    return count(record.request_body, seen, parse)
