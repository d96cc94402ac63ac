"""One call, from the client's headers to its record: the gateway's hot path, as a plain ASGI app.

Read `Call.run` from top to bottom. Whatever happens, the client gets an answer in its API's format and
the call gets a record that says how it ended.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import httpx
from lessllm_shared.config import GatewaySettings
from lessllm_shared.record import ApiFormat, Attempt, CallRecord, EndReason

from lessllm_gateway import credentials
from lessllm_gateway.crossing import Crossing, crossing
from lessllm_gateway.errors import Rejection, error_body
from lessllm_gateway.failures import failure
from lessllm_gateway.metrics import OPEN_CALLS
from lessllm_gateway.outbound import Clock, Outbound
from lessllm_gateway.recorder import Recorder
from lessllm_gateway.relay import Relay, Send, end_to_end
from lessllm_gateway.request import Asked, Endpoint, find_endpoint, read_body
from lessllm_gateway.routing import Router, Target

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

_NOT_FORWARDED = frozenset(
    (b"host", b"content-length", b"expect", b"forwarded", b"via", b"x-real-ip", b"accept-encoding")
)

log = logging.getLogger(__name__)


class Proxy:
    """The ASGI app for all API paths."""

    def __init__(
        self, settings: GatewaySettings, router: Router, outbound: Outbound, recorder: Recorder
    ) -> None:
        self.settings = settings
        self.router = router
        self.outbound = outbound
        self.recorder = recorder

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one request, and record it whatever happens."""
        call = Call(self, scope, receive, send)
        OPEN_CALLS.inc()
        try:
            await call.run()
        finally:
            OPEN_CALLS.dec()
            call.record.end_ns = call.clock.now()
            self.recorder.finish(call.record)


class Call:
    """The state of one call."""

    def __init__(self, proxy: Proxy, scope: Message, receive: Receive, send: Send) -> None:
        self.clock = Clock()
        self.record: CallRecord = proxy.recorder.start()
        self._proxy = proxy
        self._scope = scope
        self._receive = receive
        self._relay = Relay(self.record, self.clock, send, proxy.settings.timeouts)
        self._headers: credentials.RawHeaders = scope["headers"]
        self._path: str = scope["raw_path"].decode("latin-1")
        self._query: str = scope["query_string"].decode("latin-1")
        self._endpoint = Endpoint(_format_hint(self._path), None, self._path)
        self._client_left = False

    async def run(self) -> None:
        """The call from top to bottom."""
        self._note_client()
        try:
            self._endpoint = find_endpoint(self._path, self._scope["method"], self._proxy.router.names)
            client_key = credentials.authenticate(self._proxy.settings.auth.keys, self._headers, self._query)
            self.record.client_key = client_key.name if client_key else None
            self.record.request_body = await self._read_request()
            asked = read_body(self._endpoint, self._header(b"content-type"), self.record.request_body)
            self._note_request(asked)
            credential = credentials.find_credential(self._headers, self._query)
            target = self._proxy.router.target(self._endpoint, asked, credential)
            self._note_target(target, credential)
            await self._while_client_stays(self._exchange(target, asked))
        except Rejection as rejection:
            await self._answer_error(rejection)
        except Exception:
            log.exception("request %s failed: a defect of the gateway", self.record.request_id)
            await self._answer_error(
                Rejection(
                    500, "gateway_error", "the gateway failed; its log says why", EndReason.GATEWAY_ERROR
                )
            )

    async def _exchange(self, target: Target, asked: Asked) -> None:
        """Ask the upstream and relay what it answers."""
        cross = crossing(target, asked, self.record.request_body)
        request = self._upstream_request(target, cross)
        attempt = Attempt(
            provider=target.upstream.name,
            upstream_model=target.model,
            url=self.record.upstream_url or "",
            route=self.record.route or "",
            start_ns=self.clock.now(),
        )
        self.record.attempts.append(attempt)
        try:
            async with asyncio.timeout(self._proxy.settings.timeouts.first_byte_s):
                response = await self._proxy.outbound.send(target.upstream, request)
            self._note_response(attempt, response)
            try:
                await self._relay_answer(response, cross)
            finally:
                await response.aclose()
            failed = response.status_code >= 400
            self.record.end_reason = EndReason.UPSTREAM_ERROR if failed else EndReason.COMPLETE
            attempt.phase = "done"
        except Rejection:
            raise
        except Exception as error:
            rejection = failure(error, attempt, self.clock.marks)
            attempt.error_code, attempt.error_message = rejection.code, rejection.message
            raise rejection from error
        finally:
            attempt.end_ns = self.clock.now()
            self.record.network = self.clock.network()

    async def _relay_answer(self, response: httpx.Response, cross: Crossing) -> None:
        if response.status_code >= 400:
            convert = cross.error
        else:
            streamed = response.headers.get("content-type", "").startswith("text/event-stream")
            # A provider that ignores `stream` answers plainly: then there is nothing to assemble.
            convert = cross.whole if streamed or cross.translated else None
        if convert is not None:
            await self._relay.answer_whole(response, convert)
        else:
            readable = response.status_code == 200 and "content-encoding" not in response.headers
            await self._relay.answer(response, cross.stream if readable else None)

    def _upstream_request(self, target: Target, cross: Crossing) -> httpx.Request:
        record = self.record
        record.usage_requested = cross.usage_requested
        record.upstream_streaming = cross.streaming
        if cross.translated:
            record.upstream_request_body = cross.body
            self._relay.keep_client_body()
        encoding = b"identity" if cross.reads_answer else self._header(b"accept-encoding").encode("latin-1")
        headers = [*_upstream_headers(self._headers, target), *cross.headers]
        if encoding:
            headers.append((b"accept-encoding", encoding))
        query = self._query if target.key is None else credentials.without_key(self._query)
        return httpx.Request(
            self._scope["method"],
            target.url + (f"?{query}" if query else ""),
            headers=headers,
            content=cross.body or None,
            extensions={"timeout": self._transport_timeouts(), "trace": self.clock.trace},
        )

    def _transport_timeouts(self) -> dict[str, float]:
        # Reads are limited by the call itself, which tells the first byte from the idle time after it.
        limits = self._proxy.settings.timeouts
        return {"connect": limits.connect_s, "pool": limits.connect_s, "write": limits.idle_s}

    async def _read_request(self) -> bytes:
        limit = self._proxy.settings.gateway.max_request_bytes
        too_large = Rejection(
            413, "request_too_large", f"the request body is over gateway.max_request_bytes ({limit} bytes)"
        )
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Rejection(400, "client_disconnected", "the client left", EndReason.CLIENT_CANCELLED)
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                self.record.request_body = b"".join(parts)[:limit]
                self.record.request_body_bytes = int(self._header(b"content-length") or size)
                raise too_large
            if not message.get("more_body"):
                self.record.request_received_ns = self.clock.now()
                return b"".join(parts)

    async def _while_client_stays(self, work: Awaitable[None]) -> None:
        """Do the work; cancel it, and with it the upstream call, when the client leaves."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - we run in one
        watcher = asyncio.create_task(self._cancel_when_client_leaves(task))
        try:
            await work
        except asyncio.CancelledError:
            self.record.end_reason = EndReason.CLIENT_CANCELLED
            if not self._client_left:
                raise
            task.uncancel()
        finally:
            watcher.cancel()

    async def _cancel_when_client_leaves(self, task: "asyncio.Task[Any]") -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._relay.finished:  # after the last byte, leaving is what clients do
            self._client_left = True
            task.cancel()

    async def _answer_error(self, rejection: Rejection) -> None:
        """The rejection to the client: an answer, or what can still be said in one that has begun."""
        record = self.record
        record.end_reason = rejection.end_reason
        record.error_code, record.error_message = rejection.code, rejection.message
        if rejection.end_reason is EndReason.CLIENT_CANCELLED:
            return
        body = error_body(self._endpoint.api_format, rejection)
        # A client that left or broke off gets nothing, and that is no error of ours.
        with contextlib.suppress(OSError):
            if not self._relay.started:
                headers = [
                    (b"content-type", b"application/json"),
                    (b"content-length", str(len(body)).encode()),
                    (b"x-lessllm-request-id", record.request_id.encode()),
                ]
                await self._relay.head(rejection.status, headers)
                await self._relay.body(body, more=False)
            elif record.streaming:
                name = b"event: error\n" if self._endpoint.api_format is ApiFormat.MESSAGES else b""
                await self._relay.body(b"\n\n%bdata: %b\n\n" % (name, body), more=False)
            # Otherwise the connection is closed short of the promised length, and the client sees that.

    def _note_client(self) -> None:
        record, scope = self.record, self._scope
        record.method = scope["method"]
        query = credentials.recordable_query(self._query)
        record.endpoint = self._path + (f"?{query}" if query else "")
        record.api_format = self._endpoint.api_format
        record.client_ip = scope["client"][0] if scope.get("client") else None
        record.request_headers = credentials.recordable_headers(self._headers)
        record.session_id = self._header(b"x-lessllm-session") or None
        record.user_id = self._header(b"x-lessllm-user") or None
        record.tags = _tags(self._header(b"x-lessllm-tags"))

    def _note_request(self, asked: Asked) -> None:
        record = self.record
        record.api_format = self._endpoint.api_format
        record.model = asked.model
        record.streaming = asked.streaming
        record.user_id = record.client_key or record.user_id or asked.user

    def _note_target(self, target: Target, credential: credentials.Credential | None) -> None:
        record = self.record
        record.provider = target.upstream.name
        record.upstream_format = target.upstream_format
        record.upstream_model = target.model
        record.upstream_url = credentials.recordable_url(target.url)
        record.route = self._proxy.outbound.route(target.upstream, target.url)
        key = target.key or (credential.key if credential else None)
        record.key_fingerprint = credentials.fingerprint(key) if key else None

    def _note_response(self, attempt: Attempt, response: httpx.Response) -> None:
        record, marks = self.record, self.clock.marks
        attempt.status_code = response.status_code
        attempt.phase = "receive"
        record.response_headers = credentials.recordable_headers(response.headers.raw)
        record.upstream_start_ns = marks.get("http11.send_request_headers.started", attempt.start_ns)
        record.upstream_sent_ns = marks.get("http11.send_request_body.complete")
        record.upstream_headers_ns = marks.get("http11.receive_response_headers.complete", self.clock.now())

    def _header(self, name: bytes) -> str:
        return next((value.decode("latin-1") for key, value in self._headers if key == name), "")


def _upstream_headers(headers: credentials.RawHeaders, target: Target) -> credentials.RawHeaders:
    """The client's headers less what is between it and us, with the provider's key if we have it."""
    kept = [
        (name, value)
        for name, value in end_to_end(headers)
        if name not in _NOT_FORWARDED and not name.startswith((b"x-lessllm-", b"x-forwarded-"))
    ]
    if target.key is None:
        return kept
    kept = [(name, value) for name, value in kept if not credentials.is_credential(name)]
    header = target.upstream.key_header.encode()
    value = target.key if header != b"authorization" else f"Bearer {target.key}"
    return [*kept, (header, value.encode("latin-1"))]


def _tags(header: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in header.split(",") if part.strip())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _format_hint(path: str) -> ApiFormat:
    """The format for errors that come before the endpoint is known."""
    return ApiFormat.MESSAGES if path.startswith(("/v1/messages", "/anthropic/")) else ApiFormat.OTHER
