"""Whether the holder of a client key may call now. Pure but for two clocks; everything is O(1) in the calls.

`admit` before a call, `finish` after it; in between it counts as under way. What the collector says of the
spending comes in by `heard`, in one with the number up to which this gateway's own records are in it.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lessllm_shared.config.sections import Budget, Key
from lessllm_shared.record import ApiFormat, CallRecord, EndReason
from lessllm_shared.wire import Spent

from lessllm_gateway.errors import Rejection
from lessllm_gateway.keys.account import Account, day_of, end_of
from lessllm_gateway.keys.bucket import Bucket
from lessllm_gateway.keys.ring import KeyRing
from lessllm_gateway.keys.unacknowledged import Unacknowledged
from lessllm_gateway.metrics import BUDGET, BUDGET_SPENT

SOON_S = 1  # an acknowledgement may have come by then

_MAY_COST = frozenset((EndReason.COMPLETE, EndReason.TRUNCATED, EndReason.CLIENT_CANCELLED))
_FREE = frozenset((ApiFormat.OTHER, ApiFormat.COUNT_TOKENS, ApiFormat.GEMINI_COUNT_TOKENS))


@dataclass(slots=True, eq=False)
class Holder:
    """What is kept of a key's name."""

    account: Account
    requests: Bucket | None = None
    tokens: Bucket | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """Of a call that was let in, until it ends."""

    holder: Holder
    is_spending: bool  # its cost matters: there is a budget, or a limit of tokens
    day: str
    tokens: float  # assumed


class Gate:
    """One for a gateway process."""

    def __init__(
        self,
        ring: KeyRing,
        last_number: Callable[[], int] = lambda: 0,
        now_unix_s: Callable[[], float] = time.time,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`last_number`: of the record that was handed over last."""
        self.ring = ring
        self._last_number = last_number
        self._now_unix_s = now_unix_s
        self._now_s = now_s
        self._holders: dict[str, Holder] = {}
        self._unacknowledged = Unacknowledged()
        self._measured: set[tuple[str, str, str]] = set()

    def admit(self, key: Key) -> Ticket | None:
        """None: the key has no limits. Raises Rejection."""
        if not key.enabled:
            raise Rejection(401, "client_key_disabled", f"the client key {key.name} is switched off")
        if key.expires is not None and self._now_unix_s() >= key.expires.timestamp():
            raise Rejection(
                401, "client_key_expired", f"the client key {key.name} expired at {key.expires.isoformat()}"
            )
        if not (key.is_spending or key.requests_per_minute or key.concurrent_calls):
            return None
        holder = self._holder(key)
        day = day_of(self._now_unix_s())
        self._check_rates(key, holder)
        for budget in key.budgets:
            self._check_budget(key, budget, holder.account, day)
        ticket = Ticket(holder, key.is_spending, day, holder.account.mean_tokens)
        holder.account.under_way += 1
        if holder.requests is not None:
            holder.requests.take(1, self._now_s())
        if holder.tokens is not None:
            holder.tokens.take(ticket.tokens, self._now_s())
        return ticket

    def finish(self, ticket: Ticket, record: CallRecord) -> None:
        """The call has ended, and its record was handed over."""
        holder = ticket.holder
        holder.account.under_way -= 1
        if not ticket.is_spending:
            return
        may_cost = record.provider is not None and record.end_reason in _MAY_COST
        if may_cost and record.api_format not in _FREE:
            self._unacknowledged.add(self._last_number(), holder.account, ticket.day, ticket.tokens)
        elif holder.tokens is not None:
            holder.tokens.take(-ticket.tokens, self._now_s())

    def wanted(self) -> list[str]:
        """The keys whose spending matters here."""
        return self.ring.spending

    def heard(self, committed: int, spent: Iterable[Spent]) -> None:
        """What keys have spent, this gateway's records up to `committed` included."""
        assumed = self._unacknowledged.acknowledge(committed)
        by_name: dict[str, list[Spent]] = {}
        for one in spent:
            by_name.setdefault(one.key, []).append(one)
        keys = {key.name: key for key in self.ring}
        for name in by_name.keys() & keys.keys():
            holder = self._holder(keys[name])
            tokens = holder.account.learn(by_name[name])
            if holder.tokens is not None and tokens is not None:
                holder.tokens.take(tokens - assumed.get(holder.account, 0.0), self._now_s())
        for name in self._holders.keys() - keys.keys():
            if self._holders[name].account.is_settled:
                del self._holders[name]

    def measure(self) -> None:
        """Budgets into the metrics."""
        day = day_of(self._now_unix_s())
        before, self._measured = self._measured, set()
        for key in self.ring:
            for budget in key.budgets:
                use = self._holder(key).account.use(budget, day)
                labels: tuple[str, str, str] = (
                    key.name,
                    "tokens" if budget.usd is None else "usd",
                    budget.per,
                )
                BUDGET.labels(*labels).set(use.limit)
                BUDGET_SPENT.labels(*labels).set(use.likely)
                self._measured.add(labels)
        for gone in before - self._measured:
            BUDGET.remove(*gone)
            BUDGET_SPENT.remove(*gone)

    def _holder(self, key: Key) -> Holder:
        holder = self._holders.get(key.name)
        if holder is None:
            holder = self._holders[key.name] = Holder(Account())
        holder.requests = self._bucket(holder.requests, key.requests_per_minute)
        holder.tokens = self._bucket(holder.tokens, key.tokens_per_minute)
        return holder

    def _bucket(self, bucket: Bucket | None, per_minute: int | None) -> Bucket | None:
        """A new one where the limit is another."""
        if per_minute is None or (bucket is not None and bucket.per_minute == per_minute):
            return None if per_minute is None else bucket
        return Bucket(per_minute, self._now_s())

    def _check_rates(self, key: Key, holder: Holder) -> None:
        most = key.concurrent_calls
        if most is not None and holder.account.under_way >= most:
            raise _rate_limited(key, f"has {most} calls under way, as many as it may", SOON_S)
        for bucket, unit in ((holder.requests, "requests"), (holder.tokens, "tokens")):
            if bucket is not None and (wait_s := bucket.wait_s(self._now_s())) > 0:
                raise _rate_limited(
                    key, f"has used its {bucket.per_minute} {unit} a minute", math.ceil(wait_s)
                )

    def _check_budget(self, key: Key, budget: Budget, account: Account, day: str) -> None:
        use = account.use(budget, day)
        if use.likely < use.limit:
            return
        now = self._now_unix_s()
        end = end_of(budget.per, now)
        limit = f"{use.limit:g} USD" if budget.usd is not None else f"{use.limit:,} tokens"
        if use.known < use.limit:
            message = (
                f"the client key {key.name} may use up its budget of {limit} a {budget.per} with calls that"
                f" are under way; the {budget.per} ends at {_at(end.timestamp())}"
            )
            raise _too_many("budget_exceeded", message, SOON_S)
        message = (
            f"the client key {key.name} has used up its budget of {limit} a {budget.per}; the next"
            f" {budget.per} begins at {_at(end.timestamp())}"
        )
        raise _too_many("budget_exceeded", message, math.ceil(end.timestamp() - now), is_lasting=True)


def _rate_limited(key: Key, what: str, retry_after_s: int) -> Rejection:
    message = f"the client key {key.name} {what}; try again in {retry_after_s} s"
    return _too_many("rate_limited", message, retry_after_s)


def _too_many(code: str, message: str, retry_after_s: int, *, is_lasting: bool = False) -> Rejection:
    """`is_lasting`: SDKs that repeat by themselves are told not to."""
    headers = [(b"retry-after", b"%d" % retry_after_s)]
    if is_lasting:
        headers.append((b"x-should-retry", b"false"))
    return Rejection(429, code, message, headers=headers)


def _at(unix_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_s))
