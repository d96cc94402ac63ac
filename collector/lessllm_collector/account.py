"""What was committed, counted for Prometheus and said in the log."""

import logging

from lessllm_shared.now_and_then import NowAndThen

from lessllm_collector import metrics
from lessllm_collector.commit import Commit
from lessllm_collector.interpret import DAMAGED
from lessllm_collector.rows import Row
from lessllm_collector.switches import Switches

log = logging.getLogger(__name__)


class Account:
    """Used on the writer's thread alone."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._is_to_be_said = NowAndThen()

    def add(self, commit: Commit) -> None:
        """It is in the database."""
        for entry in commit.entries:
            if entry.row is not None:
                metrics.count(entry.row)
                self._look_for_mistakes(entry.row)
                if self._switches.debug_mode:
                    _log_call(entry.row)
            elif entry.error is not None:
                metrics.GAPS.labels("unreadable").inc()
                if self._is_to_be_said("unreadable"):
                    log.warning(
                        "record %d of gateway %s is set aside: %s",
                        *(entry.first_seq, _printable(entry.gateway_id), entry.error),
                    )

    def _look_for_mistakes(self, row: Row) -> None:
        error = row["interpreter_error"]
        if error in {None, DAMAGED}:
            return
        metrics.INTERPRETER_ERRORS.inc()
        if self._is_to_be_said("mistake"):
            log.error("call %s lacks columns, by a mistake of ours: %s", _printable(row["request_id"]), error)


def _log_call(row: Row) -> None:
    log.info(
        "call %s: %s → %s %s, %s, total %.0f ms, TTFT %s ms, tokens %s → %s, %s USD",
        *(_printable(row[name]) for name in ("request_id", "model", "provider", "route", "end_reason")),
        row["total_latency_ms"],
        *(row["estimated_ttft_ms"], row["actual_prompt_tokens"], row["actual_completion_tokens"]),
        row["estimated_cost_usd"],
    )


def _printable(text: object) -> str:
    """On one line, and nothing that a terminal obeys: it came over the network."""
    return repr(str(text))[1:-1]
