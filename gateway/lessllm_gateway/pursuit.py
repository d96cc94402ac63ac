"""From targets to an answer: one try at an upstream after the other, until one answers the client.

Each try is an Attempt in the record, with its route, how far it came, and why it failed. What comes after a
failure is decided by `tries`; once the client has been given a status, nothing more is tried.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
from lessllm_shared.config.sections import Timeouts
from lessllm_shared.record import Attempt, CallRecord, EndReason

from lessllm_gateway import headers, recorder
from lessllm_gateway.clock import Clock
from lessllm_gateway.credentials import Caller, RawHeaders, without_key
from lessllm_gateway.crossing import Crossing, crossing
from lessllm_gateway.egress.dialer import DialError
from lessllm_gateway.egress.exchange import Exchange, Phase
from lessllm_gateway.egress.health import Round
from lessllm_gateway.egress.pool import PoolFull
from lessllm_gateway.errors import Rejection
from lessllm_gateway.failures import failure
from lessllm_gateway.metrics import phase_seconds, tries
from lessllm_gateway.outbound import DIRECT, Outbound, Way
from lessllm_gateway.relay import Relay
from lessllm_gateway.request import Asked
from lessllm_gateway.routing import Target
from lessllm_gateway.tries import BROKEN, UNSENT, Action, Outcome, Step, Tries, answered


@dataclass(frozen=True, slots=True)
class Asking:
    """What the client asks, as far as it goes on to an upstream."""

    method: str
    headers: RawHeaders
    accept_encoding: bytes
    query: str
    asked: Asked
    caller: Caller
    body: bytes


class Pursuit:
    """The upstream's side of one call."""

    def __init__(
        self,
        asking: Asking,
        record: CallRecord,
        clock: Clock,
        relay: Relay,
        limits: Timeouts,
        outbound: Outbound,
    ) -> None:
        self._asking = asking
        self._record = record
        self._clock = clock
        self._relay = relay
        self._limits = limits
        self._outbound = outbound
        self._failure: Rejection | None = None  # of the last try

    async def run(self, targets: Sequence[Target], cross: Crossing | None = None) -> None:
        """Until the client has its answer. Raises Rejection: the last failure, with nothing left to try."""
        for target in targets:
            try:
                if cross is None:
                    cross = crossing(target, self._asking.asked, self._asking.body)
            except Rejection as rejection:
                if target is targets[0]:
                    raise
                self._note_skipped(target, rejection)
                continue
            if await self._ask(target, cross, has_fallback=target is not targets[-1]):
                return
            cross = None
        assert self._failure is not None  # noqa: S101 - the first target was asked
        raise self._failure

    async def _ask(self, target: Target, cross: Crossing, *, has_fallback: bool) -> bool:
        """One target, by its ways, and again as its provider's retries say. False: it failed."""
        tries = Tries(self._outbound.policy(target.upstream), has_fallback=has_fallback)
        action = Action.AGAIN
        while action is not Action.NEXT_TARGET:
            if action is Action.AGAIN:
                ways = Round(self._outbound.ways(target.upstream, target.origin))
            step = await self._try(target, cross, ways, tries)
            if step is None:
                return True
            await asyncio.sleep(step.wait_s)
            action = step.action
        return False

    async def _try(self, target: Target, cross: Crossing, ways: Round[Way], tries: Tries) -> Step | None:
        """One try. Returns what is next after a failure, None when the client has its answer."""
        way = ways.next()
        assert way is not None  # noqa: S101 - `tries` asks for a way only when one is left
        attempt, exchange = self._begin(target, way.route, cross), Exchange()
        try:
            async with asyncio.timeout(self._time_left_s()):
                request = self._request(target, way, cross, exchange)
                response = await way.transport.handle_async_request(request)
                ways.succeeded()
                attempt.status_code = response.status_code
                try:
                    step = self._after_answer(response, attempt, ways, tries)
                    if step is not None:
                        return step
                    recorder.note_response(self._record, self._clock, exchange, response)
                    await self._relay_answer(response, cross, exchange)
                finally:
                    await response.aclose()
            exchange.phase = Phase.DONE
            failed = (self._record.status_code or 0) >= 400  # as the client saw it
            self._record.end_reason = EndReason.UPSTREAM_ERROR if failed else EndReason.COMPLETE
            return None
        except Exception as error:
            attempt.phase = exchange.phase
            if isinstance(error, Rejection):
                cause = error
            else:
                cause = failure(error, attempt, is_sending=self._relay.is_sending)
            step = self._after_failure(error, cause, ways, tries)
            recorder.note_failure(attempt, cause)
            if step is None:
                raise cause from error
            return step
        finally:
            ways.abandoned()
            attempt.phase, attempt.end_ns = exchange.phase, self._clock.now()
            self._record.network = exchange.marks()
            _measure(attempt, exchange)

    def _begin(self, target: Target, route: str, cross: Crossing) -> Attempt:
        record = self._record
        attempt = recorder.new_attempt(target, route, self._clock.now())
        recorder.note_target(record, attempt, target, self._asking.caller)
        recorder.note_attempt(record, attempt)
        record.usage_requested = cross.usage_requested
        record.upstream_streaming = cross.streaming
        record.upstream_request_body = cross.body or None if cross.translated else None
        self._relay.await_answer(translated=cross.translated)
        return attempt

    def _request(self, target: Target, way: Way, cross: Crossing, exchange: Exchange) -> httpx.Request:
        asking = self._asking
        query = asking.query if target.passes_credentials else without_key(asking.query)
        if target.api_format is not target.upstream_format:
            query = (
                ""  # it means something to the client's API only, and Google's refuses what it does not know
            )
        accepted = b"identity" if cross.reads_answer else asking.accept_encoding
        raw = headers.to_upstream(asking.headers, target, accepted, len(cross.body))
        return way.request(
            asking.method,
            target.path + (f"?{query}" if query else ""),
            [*raw, *cross.headers],
            cross.body,
            self._limits,
            exchange,
        )

    def _after_answer(
        self, response: httpx.Response, attempt: Attempt, ways: Round[Way], tries: Tries
    ) -> Step | None:
        """What is next instead of giving this answer to the client."""
        status = response.status_code
        if status < 400:
            return None
        outcome = answered(status, response.headers, time.time())
        step = tries.after(outcome, way_left=not ways.is_over, time_left_s=self._time_left_s())
        if step is not None:
            text = f"{attempt.provider} answered {status}"
            self._failure = Rejection(status, "upstream_error", text, EndReason.UPSTREAM_ERROR)
            recorder.note_failure(attempt, self._failure)
        return step

    def _after_failure(
        self, error: Exception, cause: Rejection, ways: Round[Way], tries: Tries
    ) -> Step | None:
        """What is next instead of telling the client of this failure."""
        self._failure = cause
        if isinstance(error, DialError):
            if error.blames_proxy:
                ways.failed()
            elif error.phase in {Phase.PROXY_HANDSHAKE, Phase.TLS}:
                ways.succeeded()  # the proxy did its part
            outcome = Outcome(is_unsent=True, should_retry=False if error.is_lasting else None)
        elif isinstance(error, PoolFull):
            outcome = UNSENT
        elif isinstance(error, httpx.TransportError) and not self._relay.started:
            outcome = BROKEN
        else:
            return None
        return tries.after(outcome, way_left=not ways.is_over, time_left_s=self._time_left_s())

    def _note_skipped(self, target: Target, rejection: Rejection) -> None:
        """A fallback that can't take the request."""
        now = self._clock.now()
        attempt = recorder.new_attempt(target, DIRECT, now)
        attempt.end_ns = now
        recorder.note_failure(attempt, rejection)
        self._record.attempts.append(attempt)

    async def _relay_answer(self, response: httpx.Response, cross: Crossing, exchange: Exchange) -> None:
        timing = exchange.server_timing()
        transform, convert = cross.treatment(
            response.status_code,
            response.headers.get("content-type", ""),
            response.headers.get("content-encoding", ""),
        )
        raw = headers.to_client(response.headers.raw, self._record.request_id, timing)
        if cross.answer_headers is not None:
            raw = cross.answer_headers(raw)
        if convert is not None:
            await self._relay.answer_whole(response, raw, convert)
        else:
            await self._relay.answer(response, raw, transform)

    def _time_left_s(self) -> float:
        return max(0.0, self._limits.total_s - self._clock.now() / 1e9)


def _measure(attempt: Attempt, exchange: Exchange) -> None:
    tries(attempt.provider, attempt.route, attempt.error_code or "none").inc()
    for phase, duration_ns in exchange.durations_ns():
        phase_seconds(attempt.provider, phase).observe(duration_ns / 1e9)
