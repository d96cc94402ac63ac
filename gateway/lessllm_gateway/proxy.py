"""One call, from the client's headers to its record: the gateway's hot path, as a plain ASGI app.

Read `Call.run` from top to bottom. Whatever happens, the client gets an answer in its API's dialect and
the call gets a record that says how it ended.
"""

import asyncio
import contextlib
import logging
import traceback
from typing import TYPE_CHECKING

from lessllm_shared.browser import Rules
from lessllm_shared.config import GatewaySettings
from lessllm_shared.config.sections import Key, Timeouts
from lessllm_shared.record import ApiFormat, CallRecord, EndReason

from lessllm_gateway import recorder
from lessllm_gateway.clock import Clock
from lessllm_gateway.credentials import Caller, RawHeaders, authenticate
from lessllm_gateway.crossing import Crossing
from lessllm_gateway.errors import Dialect, Rejection, error_body
from lessllm_gateway.intake import Message, Presence, Receive, TooLarge, read_body
from lessllm_gateway.keys.gate import Gate, Ticket
from lessllm_gateway.memory import Budget, Lease
from lessllm_gateway.metrics import OPEN_CALLS, REJECTED_CALLS
from lessllm_gateway.models import Catalogue
from lessllm_gateway.outbound import Outbound
from lessllm_gateway.policies import Policies, Rule
from lessllm_gateway.pursuit import Asking, Pursuit
from lessllm_gateway.recorder import Recorder
from lessllm_gateway.relay import Relay, Send
from lessllm_gateway.request import Asked, Endpoint, find_endpoint, guess_dialect, read_fields
from lessllm_gateway.routing import Router, check_scope
from lessllm_gateway.translate.messages_to_chat import token_count

if TYPE_CHECKING:
    from lessllm_gateway.redaction import Redactor

ESTIMATED: RawHeaders = [(b"x-lessllm-estimated", b"true")]  # no provider was asked for these figures
LARGE_BYTES = 256 * 1024  # of a request that is looked through beside the loop: 5 ms
LISTING_S = 5.0  # for a provider's list of models, before ours goes without it

log = logging.getLogger(__name__)


class Proxy:
    """The ASGI app for all API paths."""

    def __init__(
        self,
        settings: GatewaySettings,
        rules: Rules,
        gate: Gate,
        router: Router,
        outbound: Outbound,
        recorder: Recorder,
        requests: Budget,
    ) -> None:
        self.settings = settings
        self.rules = rules
        self.gate = gate
        self.router = router
        self.catalogue = Catalogue(settings.models)
        self.outbound = outbound
        self.recorder = recorder
        self.policies = Policies(settings)
        self._redactor: Redactor | None = None
        self.requests = requests  # what request bodies and answers on hold may take
        self._open: set[Call] = set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one request, and record it whatever happens."""
        call = Call(self, scope, receive, send)
        self._open.add(call)
        OPEN_CALLS.inc()
        try:
            await call.run()
        finally:
            OPEN_CALLS.dec()
            self._open.remove(call)
            call.finish()

    @property
    def redactor(self) -> "Redactor":
        """Made when a policy first wants it."""
        if self._redactor is None:
            from lessllm_gateway.redaction import Redactor  # noqa: PLC0415 - its libraries take 12 MB

            self._redactor = Redactor()
        return self._redactor

    async def settled(self, deadline_s: float) -> None:
        """Wait for the records of calls whose answer has begun: the client may have read it to its end.

        Those records follow within milliseconds. A stream that goes on is not waited for any longer.
        """
        begun = [call for call in self._open if call.has_begun]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                while not self._open.isdisjoint(begun):  # noqa: ASYNC110 - nothing on the calls' path
                    await asyncio.sleep(0.001)


class Call:
    """The state of one call."""

    def __init__(self, proxy: Proxy, scope: Message, receive: Receive, send: Send) -> None:
        self._clock = Clock()
        self._record: CallRecord = proxy.recorder.start()
        self._proxy = proxy
        self._scope = scope
        self._receive = receive
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        self._path: str = scope["raw_path"].decode("latin-1")
        self._query: str = scope["query_string"].decode("latin-1")
        self._limits: Timeouts = proxy.settings.timeouts
        self._lease = Lease(proxy.requests)
        self._relay = Relay(
            self._record, self._clock, send, self._limits.idle_s, proxy.recorder.tape, self._lease
        )
        self._body = b""
        self._rule: Rule | None = None  # on sensitive data, once what holds is known
        self._dialect: Dialect = guess_dialect(self._path, self._headers)
        self._key: Key | None = None  # the client's
        self._ticket: Ticket | None = None

    async def run(self) -> None:
        """The call from top to bottom."""
        recorder.note_client(self._record, self._scope, self._headers, self._path, self._query)
        try:
            self._refuse_web_pages()
            endpoint = self._find_endpoint()
            caller = self._let_in()
            await self._read_request()
            asked = read_fields(endpoint, self._header(b"content-type"), self._body)
            recorder.note_request(self._record, asked)
            await self._put_down_request()
            if caller.key is not None:
                check_scope(caller.key, endpoint, asked)
            await self._answer(endpoint, caller, asked)
        except Rejection as rejection:
            await self._refuse(rejection)
        except asyncio.CancelledError:
            # By the server, whose time to stop in has run out. This is the task's end anyway.
            await self._refuse(
                Rejection(503, "gateway_stopping", "the gateway is stopping", EndReason.GATEWAY_ERROR)
            )
        except Exception as error:  # noqa: BLE001 - the call's top: whatever it is, client and record hear of it
            where = "".join(traceback.format_tb(error.__traceback__))  # not its text: it may hold a key
            log.error("%s: a defect: %s\n%s", self._record.request_id, type(error).__name__, where)  # noqa: TRY400
            await self._refuse(
                Rejection(
                    500, "gateway_error", "the gateway failed; its log says why", EndReason.GATEWAY_ERROR
                )
            )

    @property
    def has_begun(self) -> bool:
        """Whether the client has been told a status."""
        return self._relay.started

    def finish(self) -> None:
        """Hand the record over. Afterwards the call holds no memory."""
        self._record.end_ns = self._clock.now()
        self._relay.finish()
        self._keep_out_sensitive_data()
        self._lease.close()
        self._proxy.recorder.finish(self._record)
        if self._ticket is not None:
            self._proxy.gate.finish(self._ticket, self._record)

    def _refuse_web_pages(self) -> None:
        refusal = self._proxy.rules.judge(self._scope["headers"], self._scope.get("server"))
        if refusal is not None:
            raise Rejection(403, *refusal)

    def _find_endpoint(self) -> Endpoint:
        endpoint = find_endpoint(self._path, self._scope["method"], self._headers, self._proxy.router.formats)
        self._dialect = endpoint.dialect
        self._record.api_format = endpoint.api_format
        return endpoint

    def _let_in(self) -> Caller:
        gate = self._proxy.gate
        caller = authenticate(gate.ring, self._scope["headers"], self._query)
        self._key = caller.key
        if caller.key is not None:
            self._record.client_key = self._record.user_id = caller.name
            self._ticket = gate.admit(caller.key)
        return caller

    async def _read_request(self) -> None:
        try:
            self._body = await read_body(
                self._receive,
                int(self._header(b"content-length") or 0),
                self._proxy.settings.gateway.max_request_bytes,
                self._limits,
                self._lease,
            )
        except TooLarge as error:
            self._body = error.beginning
            self._record.request_body_bytes = error.size_bytes
            raise
        self._record.request_received_ns = self._clock.now()

    async def _put_down_request(self) -> None:
        """Into the record, as the policy on sensitive data says. Raises Rejection for what may not go on."""
        rule = self._find_rule()
        if not rule.acts:
            self._record.request_body = self._body
            return
        redactor = self._proxy.redactor
        if len(self._body) > LARGE_BYTES:
            redacted = await asyncio.to_thread(redactor.put_down, self._record, self._body, rule)
        else:
            redacted = redactor.put_down(self._record, self._body, rule)
        refusal = redactor.refusal(redacted, rule, is_json="json" in self._header(b"content-type"))
        if refusal is not None:
            raise refusal

    def _find_rule(self) -> Rule:
        of_key = None if self._key is None else self._key.sensitive_data
        self._rule = self._proxy.policies.of(of_key, self._record.model)
        self._record.sensitive_policy = self._rule.policy
        return self._rule

    def _keep_out_sensitive_data(self) -> None:
        """Of the record, which is whole now."""
        refused_early = self._rule is None
        rule = self._rule or self._find_rule()
        if not rule.acts:
            if refused_early:
                self._record.request_body = self._body
            return
        redactor = self._proxy.redactor
        try:
            if refused_early:
                redactor.put_down(self._record, self._body, rule)
            redactor.clean(self._record, rule)
        except Exception as error:  # noqa: BLE001 - what can't be cleaned is not kept
            what, kind = "a defect: its bodies are not recorded", type(error).__name__
            log.error("%s: %s: %s", self._record.request_id, what, kind)  # noqa: TRY400 - not its text
            redactor.drop(self._record)

    async def _answer(self, endpoint: Endpoint, caller: Caller, asked: Asked) -> None:
        """From ourselves, from the provider, or from both."""
        catalogue = self._proxy.catalogue
        described = catalogue.described(endpoint)
        if described is not None:
            await self._answer_ourselves(described)
        elif self._proxy.router.estimates(endpoint, asked):
            await self._answer_ourselves(token_count(self._body), ESTIMATED)
        elif catalogue.lists(endpoint, self._key):
            self._limits = Timeouts(first_byte_s=LISTING_S, idle_s=LISTING_S, total_s=LISTING_S)
            try:
                await self._forward(
                    endpoint, caller, asked, catalogue.crossing(endpoint, self._key, self._query)
                )
            except Rejection as rejection:
                if self._relay.started or rejection.end_reason is EndReason.CLIENT_CANCELLED:
                    raise
                await self._answer_ourselves(catalogue.alone(endpoint, self._key))
        else:
            await self._forward(endpoint, caller, asked)

    async def _answer_ourselves(self, body: bytes, more: RawHeaders | None = None) -> None:
        await self._relay.answer_ourselves(body, more or [])
        self._record.end_reason = EndReason.COMPLETE

    async def _forward(
        self, endpoint: Endpoint, caller: Caller, asked: Asked, cross: Crossing | None = None
    ) -> None:
        targets = self._proxy.router.targets(endpoint, asked, caller)
        asking = Asking(
            self._scope["method"],
            self._scope["headers"],
            b"identity" if self._rule and self._rule.acts else self._headers.get(b"accept-encoding", b""),
            self._query,
            asked,
            caller,
            self._body,
        )
        pursuit = Pursuit(
            asking,
            self._record,
            self._clock,
            self._relay,
            self._limits,
            self._proxy.outbound,
        )
        self._proxy.recorder.opened(self._record)
        work = pursuit.run(targets, cross)
        await Presence(self._receive).during(work, lambda: self._relay.finished)

    async def _refuse(self, rejection: Rejection) -> None:
        """The rejection to record and client."""
        record = self._record
        record.end_reason = rejection.end_reason
        record.error_code, record.error_message = rejection.code, rejection.message
        if rejection.end_reason is EndReason.REJECTED:
            REJECTED_CALLS.labels(rejection.code, record.client_key or "none").inc()
        if rejection.end_reason is not EndReason.CLIENT_CANCELLED:
            has_names = self._dialect == "anthropic" or record.api_format is ApiFormat.RESPONSES
            event_name = b"event: error\n" if has_names else b""
            await self._relay.fail(
                rejection.status, error_body(self._dialect, rejection), event_name, rejection.headers
            )

    def _header(self, name: bytes) -> str:
        return self._headers.get(name, b"").decode("latin-1")
