"""What is asked and what is answered, as bytes, of the shape and size that LLM providers' have.

How the upstream is to answer is in the target's query. An answer ends with one of ANSWER_ENDS, and holds it
nowhere else, so that the bare client needs no parser. Nothing here opens a connection.
"""

from functools import lru_cache
from urllib.parse import parse_qs, urlsplit

from upstream import STAMP, Answer

CHAT_TARGET = b"/v1/chat/completions"
STREAM_CHUNKS = 100
ANSWER_ENDS = (b'"service_tier": "default"}', b"0\r\n\r\n")


def chat_target(after_s: float) -> bytes:
    """Asks for an answer in one piece, after that time."""
    return b"%b?after_s=%g" % (CHAT_TARGET, after_s)


def stream_target(pause_s: float) -> bytes:
    """Asks for a stream that pauses before each chunk."""
    return b"%b?pause_s=%g" % (CHAT_TARGET, pause_s)


def is_stream(target: bytes) -> bool:
    """Whether it asks for one."""
    return _wishes(target)[1] > 0


def request_body(target: bytes) -> bytes:
    """What is posted to it. All are of one size."""
    return _STREAM_REQUEST if is_stream(target) else _CHAT_REQUEST


def answer_bytes(target: bytes) -> int:
    """How long the answer's body is."""
    return sum(map(len, _EVENTS)) if is_stream(target) else len(_CHAT_BODY)


@lru_cache
def answer(head: bytes) -> Answer:
    """What the upstream writes for a request with this head."""
    after_s, pause_s = _wishes(head.split(b" ", 2)[1])
    return Answer(_STREAM if pause_s else _CHAT, after_s, pause_s)


def plain_answer() -> Answer:
    """In one piece, at once."""
    return Answer(_CHAT)


def stamped_stream(chunks: int, pause_s: float) -> Answer:
    """So many chunks, each with the time at which it was written, the first one at once; then the usage."""
    chunk = _chunk(_STAMPED_EVENT)
    pieces = (_STREAM[0] + chunk, *(chunk,) * (chunks - 1), _STREAM[-1])
    return Answer(pieces, pause_s=pause_s, is_stamped=True)


@lru_cache
def _wishes(target: bytes) -> tuple[float, float]:
    """`after_s` and `pause_s`."""
    query = parse_qs(urlsplit(target.decode()).query)
    return float(query.get("after_s", ["0"])[0]), float(query.get("pause_s", ["0"])[0])


def _chunk(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)


def _filled(template: bytes, size_bytes: int) -> bytes:
    """The template with words in its gap, so many that it has this size."""
    return template % (b"lorem ipsum " * size_bytes)[: size_bytes - len(template % b"")]


def chat_request(model: bytes, size_bytes: int, *, is_stream: bool) -> bytes:
    """The body of a request."""
    # A client that asks for the usage itself: the gateway has nothing to add.
    options = b'"stream": true, "stream_options": {"include_usage": true}, ' if is_stream else b""
    return _filled(
        b'{"model": "%b", "messages": [{"role": "user", "content": "%%b"}], %b"seed": 7}' % (model, options),
        size_bytes,
    )


_CHAT_REQUEST = chat_request(b"gpt-4o", 4096, is_stream=False)
_STREAM_REQUEST = chat_request(b"gpt-4o", 4096, is_stream=True)
REQUEST_HEADERS = [
    (b"host", b"api.llm.test"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"authorization", b"Bearer none"),
    (b"content-type", b"application/json"),
    (b"user-agent", b"OpenAI/Python 3.54.0"),
    (b"x-stainless-arch", b"x64"),
    (b"x-stainless-async", b"false"),
    (b"x-stainless-lang", b"python"),
    (b"x-stainless-os", b"Linux"),
    (b"x-stainless-package-version", b"3.54.0"),
    (b"x-stainless-retry-count", b"0"),
    (b"x-stainless-runtime", b"CPython"),
    (b"content-length", b"%d" % len(_CHAT_REQUEST)),
]

_ANSWER_HEAD = b"""HTTP/1.1 200 OK
date: Wed, 25 Nov 2026 12:00:00 GMT
content-type: %b
%b
connection: keep-alive
access-control-expose-headers: X-Request-ID
openai-organization: org-none
openai-processing-ms: 412
openai-version: 2020-10-01
x-ratelimit-limit-requests: 10000
x-ratelimit-limit-tokens: 30000000
x-ratelimit-remaining-requests: 9999
x-ratelimit-remaining-tokens: 29998976
x-ratelimit-reset-requests: 6ms
x-ratelimit-reset-tokens: 2ms
x-request-id: req_00000000000000000000000000000000
strict-transport-security: max-age=31536000; includeSubDomains; preload
server: bench

""".replace(b"\n", b"\r\n")

_USAGE = b'"usage": {"prompt_tokens": 900, "completion_tokens": 400, "total_tokens": 1300}'
_CHAT_BODY = _filled(
    b'{"id": "chatcmpl-0", "object": "chat.completion", "model": "gpt-4o", "choices": [{"index": 0,'
    b' "message": {"role": "assistant", "content": "%b"}, "finish_reason": "stop"}], '
    + _USAGE
    + b", "
    + ANSWER_ENDS[0],
    2048,
)
_EVENT_START = (
    b'data: {"id": "chatcmpl-0", "object": "chat.completion.chunk", "model": "gpt-4o", "choices": ['
)
_DELTA = _EVENT_START + b'{"index": 0, "delta": {"content": "%b"}, "finish_reason": null}]}\n\n'
_EVENT = _filled(_DELTA, 200)
_STAMPED_EVENT = _filled(_DELTA % (STAMP + b" %b"), 200)
_LAST_EVENT = _EVENT_START + b"], " + _USAGE + b"}\n\ndata: [DONE]\n\n"
_EVENTS = (_EVENT,) * (STREAM_CHUNKS - 1) + (_LAST_EVENT,)

_CHAT = (_ANSWER_HEAD % (b"application/json", b"content-length: %d" % len(_CHAT_BODY)) + _CHAT_BODY,)
_CHUNKS = tuple(map(_chunk, _EVENTS))
_STREAM = (
    _ANSWER_HEAD % (b"text/event-stream; charset=utf-8", b"transfer-encoding: chunked"),
    *_CHUNKS[:-1],
    _CHUNKS[-1] + b"0\r\n\r\n",  # with the stream's end
)
