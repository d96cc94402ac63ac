"""A recorded call's phases, and how they are drawn."""

import json

from lessllm import tables, timeline

MS = 1_000_000
NETWORK = ("pool_wait_ms", "dns_ms", "tcp_connect_ms", "proxy_handshake_ms", "tls_ms")


def call(attempts, marks, **columns):
    return {
        **dict.fromkeys(NETWORK),
        "request_receive_ms": 1.0,
        "total_latency_ms": 100.0,
        "estimated_ttft_ms": None,
        "attempts": None if attempts is None else json.dumps(attempts),
        "clock_marks": json.dumps({name: value * MS for name, value in marks.items()}),
        **columns,
    }


def attempt(start_ms, end_ms, phase="done", **more):
    return {"provider": "openai", "start_ns": start_ms * MS, "end_ns": end_ms * MS, "phase": phase, **more}


ANSWERED = {
    "upstream_start_ns": 20,
    "upstream_sent_ns": 21,
    "upstream_headers_ns": 60,
    "upstream_end_ns": 100,
    "read_ns": 0,
}


def spans(recorded):
    return [(phase.name, phase.start_ms, phase.end_ms) for phase in timeline.phases(recorded)]


def test_phases_follow_one_another_and_what_did_not_happen_is_left_out():
    assert spans(call([attempt(2, 100)], ANSWERED, tcp_connect_ms=8.0, tls_ms=10.0)) == [
        ("request in", 0.0, 1.0),
        ("connect", 2.0, 10.0),
        ("tls", 10.0, 20.0),
        ("send", 20.0, 21.0),
        ("server wait", 21.0, 60.0),
        ("receive", 60.0, 100.0),
    ]


def test_time_whose_inside_nobody_could_see_has_no_finer_name():
    assert ("on the way", 2.0, 20.0) in spans(call([attempt(2, 100)], ANSWERED))


def test_a_slow_client_comes_last():
    recorded = call([attempt(2, 100)], ANSWERED, total_latency_ms=150.0)
    assert spans(recorded)[-1] == ("to client", 100.0, 150.0)


def test_a_call_that_never_connected_ends_where_it_failed():
    assert spans(call([attempt(2, 100, "connect")], {})) == [
        ("request in", 0.0, 1.0),
        ("connect failed", 2.0, 100.0),
    ]


def test_tries_before_the_one_that_answered_are_shown():
    tries = [attempt(2, 10, "connect"), attempt(12, 100)]
    assert ("failed try", 2.0, 10.0) in spans(call(tries, ANSWERED))


def test_a_rejected_call_has_no_attempts():
    rejected = call(None, {}, total_latency_ms=1.0)
    assert spans(rejected) == [("request in", 0.0, 1.0)]
    assert spans(call(None, {}, request_receive_ms=None, total_latency_ms=0.0)) == []


def test_bars_lie_on_one_line_of_time_and_the_first_token_is_a_point():
    recorded = call([attempt(2, 100)], ANSWERED, estimated_ttft_ms=61.0, tcp_connect_ms=18.0)
    shown = tables.as_text(timeline.draw(recorded, 60), 60).splitlines()
    bars = {line[:12].strip(): line[13:] for line in shown}
    width = 60 - len("first token") - len("0.00 ms") - 4
    assert bars["server wait"].index("█") == int(0.21 * width)
    assert "▲" in bars["first token"]
    assert bars["first token"].index("▲") >= bars["receive"].index("█")
    assert bars["receive"].endswith("40.0 ms")
    assert all(len(line) <= 60 for line in shown)


def test_it_fits_a_very_narrow_terminal():
    shown = tables.as_text(timeline.draw(call([attempt(2, 100)], ANSWERED), 30), 40)
    assert "39.0 ms" in shown
