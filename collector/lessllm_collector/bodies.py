"""Which bodies are kept (`logging.bodies`): a row as it was interpreted in, the row as it is stored out.

Bodies come with every record, since tokens, cost and times are worked out from them; what is not to be
kept is dropped here, before it reaches the database.
"""

from collections.abc import Mapping
from typing import Any, Literal

from lessllm_shared.record import EndReason

from lessllm_collector.schema import BODIES

Policy = Literal["full", "errors", "none"]

_NOTHING = dict.fromkeys(BODIES)


def as_kept(row: dict[str, Any], policy: Policy) -> dict[str, Any]:
    """The row, without its bodies if they are not to be kept. Their sizes stay."""
    if policy == "full" or (policy == "errors" and _failed(row)):
        return row
    return {**row, **_NOTHING}


def _failed(row: Mapping[str, Any]) -> bool:
    return row["end_reason"] != EndReason.COMPLETE or (row["status_code"] or 0) >= 400
