"""Trials → calls, several at a time, until all are made or something stops them.

What stops a run: Ctrl-C, which drops calls under way; a limit on cost, known from the records of all calls
that have ended; a gateway or collector that is not there. None of it loses what was recorded by then.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from lessllm.errors import LessLLMError, ServerError
from lessllm.rerun.record import RunRecord, SoFar
from lessllm.rerun.sending import Sender
from lessllm.rerun.trials import Trial


@dataclass(frozen=True)
class Wishes:
    """How trials are made. `max_cost_usd`: no call begins once so much is spent."""

    session: str
    stream: bool | None = None
    fresh: bool = False
    at_once: int = 1
    max_cost_usd: float | None = None


@dataclass
class Outcome:
    """How far a run came. `stopped`: why not to the end, in words."""

    planned: int
    begun: int = 0
    ended: int = 0
    so_far: SoFar = field(default_factory=SoFar)
    stopped: str | None = None
    interrupted: bool = False


class Run:
    """One run. `progress` hears of each call that has ended."""

    def __init__(
        self,
        trials: Sequence[Trial],
        wishes: Wishes,
        sender: Sender,
        record: RunRecord,
        progress: Callable[[Outcome], None],
    ) -> None:
        self.outcome = Outcome(len(trials))
        self._left: Iterator[Trial] = iter(trials)
        self._wishes = wishes
        self._sender = sender
        self._record = record
        self._progress = progress
        self._asking = asyncio.Lock()

    async def make(self) -> Outcome:
        """Make the calls. It raises nothing for what stops it: the outcome says so."""
        lanes = [asyncio.create_task(self._lane()) for _ in range(self._wishes.at_once)]
        try:
            await asyncio.gather(*lanes)
        except LessLLMError as error:
            self.outcome.stopped = str(error)
        except asyncio.CancelledError:  # Ctrl-C
            self.outcome.stopped, self.outcome.interrupted = "interrupted", True
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
        return self.outcome

    async def _lane(self) -> None:
        """One call after the other."""
        while self.outcome.stopped is None and (trial := next(self._left, None)) is not None:
            request = trial.prepared(stream=self._wishes.stream, fresh=self._wishes.fresh)
            tags: Mapping[str, str] = {"compare": self._wishes.session, **trial.tags}
            self.outcome.begun += 1
            await self._sender.send(request, tags, self._wishes.session)
            self.outcome.ended += 1
            await self._look()

    async def _look(self) -> None:
        """At what the calls have cost. Only a limit waits for the records of all that have ended."""
        limit_usd = self._wishes.max_cost_usd
        if limit_usd is None:
            if not self._asking.locked():
                with suppress(LessLLMError):  # the calls go on, and so do their records
                    await self._count(0)
        else:
            await self._count(ended := self.outcome.ended)
            if self.outcome.so_far.calls < ended:
                raise ServerError("no records come, so that nobody knows what the calls have cost")
            if (self.outcome.so_far.cost_usd or 0) >= limit_usd:
                self.outcome.stopped = "the calls have cost as much as --max-cost-usd allows"
        self._progress(self.outcome)

    async def _count(self, calls: int) -> None:
        """As many records as that, at least, unless they don't come."""
        async with self._asking:
            self.outcome.so_far = await asyncio.to_thread(self._record.so_far, calls)
