"""Comparisons in, findings out: what calls lost to each cause, if there is enough evidence, each loss once.

Kinds are tried from the most specific to the most general. A call that one of them explains is not looked at
by the others, so nothing is claimed twice.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lessllm_collector.suggestions import changed, limits, marked, timed
from lessllm_collector.suggestions.comparing import Comparison
from lessllm_collector.suggestions.losses import Detector, Loss

DAYS = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What the calls with one cause lost."""

    kind: str
    losses: Sequence[Loss]  # of the calls that lose
    usd: float | None  # of all, those included which the change would cost something; None: no price known
    worth: float  # the same in fresh tokens

    @property
    def tokens(self) -> float:
        """Affected, in all calls that lose."""
        return sum(one.tokens for one in self.losses)


def find(comparisons: Sequence[Comparison], days: float) -> list[Finding]:
    """The dearest first; those without price behind. `days` is how long these calls took."""
    claimed: set[str] = set()
    findings: list[Finding] = []
    for kind, detect in KINDS.items():
        losses = [one for found in comparisons if (one := detect(found)) is not None]
        for group in _groups(losses):
            finding = _judged(kind, group, claimed, days)
            if finding is not None:
                findings.append(finding)
                claimed.update(one.trace.request_id for one in group)
    return sorted(findings, key=lambda one: (one.usd is None, -(one.usd or 0.0), -one.worth))


def _groups(losses: Sequence[Loss]) -> Iterator[list[Loss]]:
    groups: dict[Any, list[Loss]] = {}
    for one in losses:
        trace = one.trace
        is_priced = trace.price.token_usd is not None
        key = (trace.provider, trace.model, trace.api_format, is_priced, one.cause)
        groups.setdefault(key, []).append(one)
    yield from groups.values()


def _judged(kind: str, group: Sequence[Loss], claimed: set[str], days: float) -> Finding | None:
    left = [one for one in group if one.trace.request_id not in claimed]
    losing = [one for one in left if one.worth > 0 and one.tokens >= limits.LEAST_TOKENS]
    if len(losing) < limits.LEAST_CALLS or 2 * len(left) < len(group):
        return None
    if sum(one.against for one in left) > sum(one.tokens for one in left):
        return None
    worth = sum(one.worth for one in left)
    known = [one.usd for one in left if one.usd is not None]
    usd = sum(known) if known else None
    if worth <= 0 or (usd is not None and usd * DAYS / days < limits.LEAST_USD_30_DAYS):
        return None
    return Finding(kind, losing, usd, worth)


KINDS: Mapping[str, Detector] = {
    "parallel_cold_start": timed.parallel,
    "settings_flip": changed.settings,
    "keys_split": changed.keys,
    "tools_reordered": changed.tools,
    "volatile_early_content": changed.volatile,
    "history_rewritten": changed.history,
    "too_many_blocks": marked.blocks,
    "below_minimum": marked.minimum,
    "no_explicit_breakpoint": marked.shared_prefix,
    "missing_cache_control": marked.unmarked,
    "ttl_gaps": timed.gaps,
    "write_never_read": timed.unread,
}
