"""What is asked and what is answered, as bytes, of the shape and size that LLM providers' have.

A request ends with REQUEST_END and an answer with one of ANSWER_ENDS, nowhere else, so that the upstream and
the bare client need no parser. Nothing here opens a connection.
"""

CHAT_TARGET = b"/v1/chat/completions"
STREAM_CHUNKS = 100
REQUEST_END = b'"seed": 7}'
ANSWER_ENDS = (b'"service_tier": "default"}', b"0\r\n\r\n")

_PAUSE = b"?pause_s="


def stream_target(pause_s: float) -> bytes:
    """Asks for a stream that pauses before each chunk."""
    return b"%b%b%g" % (CHAT_TARGET, _PAUSE, pause_s)


def pause_s(target: bytes) -> float:
    """Of the stream that is asked for; 0 for an answer in one piece."""
    return float(target.partition(_PAUSE)[2] or 0)


def answer_bytes(target: bytes) -> int:
    """How long the answer's body is."""
    return len(STREAM_BODY) if pause_s(target) else len(_CHAT_BODY)


def _filled(template: bytes, size_bytes: int) -> bytes:
    """The template with words in its gap, so many that it has this size."""
    return template % (b"lorem ipsum " * size_bytes)[: size_bytes - len(template % b"")]


REQUEST_BODY = _filled(
    b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "%b"}], ' + REQUEST_END, 4096
)
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
    (b"content-length", b"%d" % len(REQUEST_BODY)),
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

_CHAT_BODY = _filled(
    b'{"id": "chatcmpl-0", "object": "chat.completion", "choices": [{"index": 0, "message": {"role":'
    b' "assistant", "content": "%b"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 900,'
    b' "completion_tokens": 400, "total_tokens": 1300}, ' + ANSWER_ENDS[0],
    2048,
)
_EVENT = _filled(
    b'data: {"id": "chatcmpl-0", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta":'
    b' {"content": "%b"}, "finish_reason": null}]}\n\n',
    200,
)
STREAM_BODY = _EVENT * STREAM_CHUNKS

CHAT = _ANSWER_HEAD % (b"application/json", b"content-length: %d" % len(_CHAT_BODY)) + _CHAT_BODY
STREAM_HEAD = _ANSWER_HEAD % (b"text/event-stream; charset=utf-8", b"transfer-encoding: chunked")
_CHUNK = b"%x\r\n%b\r\n" % (len(_EVENT), _EVENT)
STREAM = (_CHUNK,) * (STREAM_CHUNKS - 1) + (_CHUNK + ANSWER_ENDS[1],)  # each a write of its own
