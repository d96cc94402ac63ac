"""A record without the sensitive data that its policy keeps out, and whether its call may go on.

What was found in the request is counted and becomes [kind]; in answers every byte of it becomes *. What can't
be read is not recorded. The call's own bytes are never touched.
"""

from collections import Counter

from lessllm_shared.record import CallRecord
from lessllm_shared.sensitive.answers import mask, mask_text
from lessllm_shared.sensitive.requests import Redacted, Seen, redact

from lessllm_gateway.errors import Rejection
from lessllm_gateway.policies import Rule

_SHOWN_PLACES = 5


class Redactor:
    """Of one gateway process: it remembers, by hash, which texts it has looked at."""

    def __init__(self) -> None:
        self._seen = Seen()

    def put_down(self, record: CallRecord, body: bytes, rule: Rule) -> Redacted:
        """The request into the record."""
        redacted = redact(body, rule.kinds, self._seen)
        record.request_body = redacted.body or b""
        if redacted.body is None:
            record.request_body_bytes = record.request_body_bytes or len(body)
        elif body:
            record.sensitive_findings = redacted.counts
        return redacted

    def clean(self, record: CallRecord, rule: Rule) -> None:
        """The rest of the record, once the call is over."""
        if record.upstream_request_body is not None:
            record.upstream_request_body = redact(record.upstream_request_body, rule.kinds, self._seen).body
        head = {name.lower(): value.lower() for name, value in record.response_headers}
        if head.get("content-encoding", "identity") != "identity":
            record.response_body = b""  # it came so though it was asked for otherwise
        record.response_body = _masked(record.response_body, head.get("content-type", ""), rule)
        if record.client_response_body is not None:
            record.client_response_body = _masked(record.client_response_body, "", rule)
        record.error_message = _masked_message(record.error_message, rule)
        for attempt in record.attempts:
            attempt.error_message = _masked_message(attempt.error_message, rule)

    def refusal(self, redacted: Redacted, rule: Rule, *, is_json: bool) -> Rejection | None:
        """Why the call must not go on. It names kinds and places, never what was found."""
        if rule.policy != "block":
            return None
        if redacted.taken:
            text = f"the request holds sensitive data, which is blocked here: {_places(redacted.taken)}"
        elif redacted.body is None and is_json:
            text = "the request's JSON can't be read, so it can't be told whether it holds sensitive data"
        else:
            return None
        return Rejection(400, "sensitive_data", text)

    def drop(self, record: CallRecord) -> None:
        """All content, out of the record."""
        record.request_body = record.response_body = b""
        record.upstream_request_body = record.client_response_body = record.error_message = None
        for attempt in record.attempts:
            attempt.error_message = None


def _masked(body: bytes, content_type: str, rule: Rule) -> bytes:
    if body[:64].lstrip()[:1] in (b"{", b"["):
        return mask(body, rule.kinds, is_stream=False)
    if "event-stream" in content_type or body.startswith((b"data:", b"event:", b":")):
        return mask(body, rule.kinds, is_stream=True)
    return mask_text(body, rule.kinds) if content_type.startswith("text/") else body


def _masked_message(message: str | None, rule: Rule) -> str | None:
    if message is None:
        return None
    return mask_text(message.encode("utf-8", "replace"), rule.kinds).decode("utf-8", "replace")


def _places(taken: Counter[tuple[str, str]]) -> str:
    shown = [f"{kind} in {path or 'a key'}" for kind, path in list(taken)[:_SHOWN_PLACES]]
    more = len(taken) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
