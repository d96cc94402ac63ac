"""What a record keeps of answers that broke off."""

HEADERS = {"authorization": "Bearer sk-x", "content-type": "application/json"}
ASKED = {"model": "gpt-4o", "messages": [], "stream": True}
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = (
    b'data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
)
DONE = b"data: [DONE]\n\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_an_answer_that_broke_off_and_was_asked_for_again_is_recorded_once(gateway, upstream, records):
    async def half_then_whole(writer):
        if len(upstream.requests) == 1:
            writer.write(SSE + chunk(b": the first\n\n" + EVENT))
        else:
            writer.write(SSE + chunk(EVENT) + chunk(DONE) + b"0\r\n\r\n")

    upstream.answer = half_then_whole
    client = await gateway(retries={"attempts": 1, "resend": True})
    plain = {**ASKED, "stream": False}  # streamed to measure it, and whole before the client has any of it
    answer = await client.post("/v1/chat/completions", json=plain, headers=HEADERS)
    assert answer.json()["choices"][0]["message"]["content"] == "Hi"
    record = await records.one()
    assert [attempt.error_code for attempt in record.attempts] == ["upstream_truncated", None]
    assert record.response_body == EVENT + DONE
    assert sum(record.read_bytes) == len(record.response_body) == record.response_body_bytes
    assert record.read_ns[0] >= record.attempts[1].start_ns
