"""A recorded call's phases, and how they are drawn."""

import json

import pytest
from lessllm import tables, timeline
from lessllm_shared.phases import phases

MS = 1_000_000
CONNECTING = ("pool_wait_ms", "dns_ms", "tcp_connect_ms", "proxy_handshake_ms", "tls_ms")
ANSWERED = {"request_send_ms": 1.0, "server_wait_ms": 39.0, "receive_ms": 40.0}


def call(attempts, start_ms=None, **columns):
    """One that was sent at `start_ms`, and answered; None: it was not."""
    marks = {"read_ns": [], "end_ns": 7} | ({} if start_ms is None else {"upstream_start_ns": start_ms * MS})
    return {
        **dict.fromkeys((*CONNECTING, *ANSWERED)),
        **({} if start_ms is None else ANSWERED),
        "request_receive_ms": 1.0,
        "total_latency_ms": 100.0,
        "estimated_ttft_ms": None,
        "attempts": None if attempts is None else json.dumps(attempts),
        "clock_marks": json.dumps(marks),
        **columns,
    }


def attempt(start_ms, end_ms, phase="done", **more):
    return {"provider": "openai", "start_ns": start_ms * MS, "end_ns": end_ms * MS, "phase": phase, **more}


def spans(recorded):
    return [(phase.name, phase.start_ms, phase.end_ms) for phase in phases(recorded)]


def test_phases_follow_one_another_and_what_did_not_happen_is_left_out():
    assert spans(call([attempt(2, 100)], 20, tcp_connect_ms=8.0, tls_ms=10.0)) == [
        ("request in", 0.0, 1.0),
        ("connect", 2.0, 10.0),
        ("tls", 10.0, 20.0),
        ("send", 20.0, 21.0),
        ("server wait", 21.0, 60.0),
        ("receive", 60.0, 100.0),
    ]


def test_time_whose_inside_nobody_could_see_has_no_finer_name():
    assert ("on the way", 2.0, 20.0) in spans(call([attempt(2, 100)], 20))


def test_a_slow_client_comes_last():
    recorded = call([attempt(2, 100)], 20, total_latency_ms=150.0)
    assert spans(recorded)[-1] == ("to client", 100.0, 150.0)


def test_a_client_that_reads_slowly_gets_the_time_that_nobody_else_took():
    recorded = call([attempt(2, 100)], 20, receive_ms=5.0)
    assert spans(recorded)[-2:] == [("receive", 60.0, 65.0), ("to client", 65.0, 100.0)]


def test_a_wait_for_a_connection_comes_first_if_there_was_one():
    recorded = call([attempt(2, 100)], 20, pool_wait_ms=10.0, tls_ms=8.0)
    assert spans(recorded)[1:3] == [("pool wait", 2.0, 12.0), ("tls", 12.0, 20.0)]
    assert spans(call([attempt(2, 100)], 20, pool_wait_ms=0.01))[1][0] == "on the way"


@pytest.mark.parametrize(
    ("phase", "columns", "shown"),
    [
        (
            "connect",
            {"dns_ms": 3.0, "tcp_connect_ms": 95.0},
            [("dns", 2.0, 5.0), ("connect failed", 5.0, 100.0)],
        ),
        ("proxy_handshake", {"tcp_connect_ms": 3.0}, [("connect", 2.0, 5.0), ("proxy failed", 5.0, 100.0)]),
        ("wait", {"tcp_connect_ms": 3.0}, [("connect", 2.0, 5.0), ("server wait failed", 5.0, 100.0)]),
        (None, {}, [("pool wait failed", 2.0, 100.0)]),
    ],
)
def test_a_call_without_an_answer_ends_where_it_failed(phase, columns, shown):
    failed = attempt(2, 100, phase)
    if phase is None:
        del failed["phase"]  # records leave out where a try begins
    assert spans(call([failed], **columns)) == [("request in", 0.0, 1.0), *shown]


def test_tries_that_failed_are_shown_with_their_reasons_and_the_waits_between_them():
    tries = [
        attempt(2, 5, "connect", upstream_model="big", error_code="proxy_unreachable", error_message="why"),
        attempt(5, 8, "receive", upstream_model="big", error_code="upstream_error", error_message="5\n03"),
        attempt(12, 100),
    ]
    recorded = call(tries, 20)
    assert spans(recorded)[1:5] == [
        ("try 1 failed", 2.0, 5.0),
        ("try 2 failed", 5.0, 8.0),
        ("pause", 8.0, 12.0),
        ("on the way", 12.0, 20.0),
    ]
    shown = tables.as_text(timeline.draw(recorded, 80), 80).splitlines()
    assert shown[-2:] == [
        "try 1 (big, connect, proxy_unreachable): why",
        "try 2 (big, receive, upstream_error): 5 03",
    ]


def test_a_rejected_call_has_no_attempts():
    rejected = call(None, total_latency_ms=1.0)
    assert spans(rejected) == [("request in", 0.0, 1.0)]
    assert spans(call(None, request_receive_ms=None, total_latency_ms=0.0)) == []


def test_bars_lie_on_one_line_of_time_and_the_first_token_is_a_point():
    recorded = call([attempt(2, 100)], 20, estimated_ttft_ms=61.0, tcp_connect_ms=18.0)
    shown = tables.as_text(timeline.draw(recorded, 60), 60).splitlines()
    bars = {line[:12].strip(): line[13:] for line in shown}
    width = 60 - len("first token") - len("0.00 ms") - 4
    assert bars["server wait"].index("█") == int(0.21 * width)
    assert "▲" in bars["first token"]
    assert bars["first token"].index("▲") >= bars["receive"].index("█")
    assert bars["receive"].endswith("40.0 ms")
    assert all(len(line) <= 60 for line in shown)


def test_it_fits_a_very_narrow_terminal():
    shown = tables.as_text(timeline.draw(call([attempt(2, 100)], 20), 30), 40)
    assert "39.0 ms" in shown
