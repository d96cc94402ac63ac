"""Sensitive data as the collector tells of it: columns, view, report, metric, and again from the raw data."""

import json

from lessllm_collector.formats import records
from lessllm_collector.interpret import Prices, Seen, derive, interpret, record_of
from lessllm_collector.leaks import report
from lessllm_collector.metrics import SENSITIVE_FINDINGS, count
from lessllm_collector.query import Question, ask
from lessllm_shared.record import EndReason
from prometheus_client import REGISTRY

from .conftest import T0, add, call
from .running import DAY, Running, record

PRICES = Prices({})


def chat(text, number=0, **fields):
    body = json.dumps({"messages": [{"role": "user", "content": text}]}).encode()
    return call(number, request_body=body, request_body_bytes=len(body), **fields)


def row(record):
    return interpret(record, gateway_id="g", sequence=1, prices=PRICES)


def found(record):
    text = row(record)["sensitive_findings"]
    return None if text is None else json.loads(text)


def test_a_request_is_looked_at_unless_its_policy_is_off():
    assert found(chat("ann@example.org, bob@example.org, 13800138000")) == {"email": 2, "phone": 1}
    assert found(chat("ann@example.org", sensitive_policy="flag")) == {"email": 1}
    assert found(chat("hello")) == {}
    assert found(chat("ann@example.org", sensitive_policy="off")) is None
    assert found(call(request_body=b"--multipart ann@example.org")) is None
    assert found(call(request_body=b"")) is None


def test_what_the_gateway_took_out_is_told_by_it_and_only_as_far_as_it_is_plausible():
    told = {"email": 2, "no_kind": 1, "phone": -5}
    assert found(chat("[email]", sensitive_policy="redact_record", sensitive_findings=told)) == {"email": 2}


def test_it_can_be_worked_out_again():
    for one in (
        chat("ann@example.org"),
        chat("[email]", sensitive_policy="redact_record", sensitive_findings={"email": 1}),
        chat("x", sensitive_policy="off"),
    ):
        stored = row(one)
        again = derive(record_of(stored), PRICES, Seen())
        assert again["sensitive_findings"] == stored["sensitive_findings"]


def test_the_view_and_the_report(empty_store):
    add(
        empty_store,
        [
            chat("ann@example.org 13800138000", 0),
            chat("bob@example.org cid@example.org", 1),
            chat("[email]", 2, model="mine", sensitive_policy="block", sensitive_findings={"email": 1},
                 end_reason=EndReason.REJECTED, error_code="sensitive_data", provider=None),
            chat("hello", 3, user_id="bob"),
            chat("eve@example.org", 4, sensitive_policy="off"),
        ],
    )  # fmt: skip
    with empty_store.cursor() as connection:
        sql = "SELECT user_id, model, policy, kind, findings, calls FROM sensitive_data ORDER BY ALL"
        rows = [tuple(one.values()) for one in records(ask(connection, Question(sql), 100))]
        assert rows == [
            ("ann", "gpt-4o", None, "email", 3, 2),
            ("ann", "gpt-4o", None, "phone", 1, 1),
            ("ann", "mine", "block", "email", 1, 1),
        ]
        sql = "SELECT count(*) AS n FROM api_calls WHERE (sensitive_findings->>'email')::INT > 1"
        assert records(ask(connection, Question(sql), 100)) == [{"n": 1}]
        told = report(connection, T0 + 2 * DAY, 7)
    assert {key: told[key] for key in ("calls", "looked_at", "with_findings", "blocked")} == {
        "calls": 5,
        "looked_at": 4,
        "with_findings": 3,
        "blocked": 1,
    }
    assert [(one["kind"], one["findings"], one["calls"]) for one in told["by_kind"]] == [
        ("email", 4, 3),
        ("phone", 1, 1),
    ]
    latest, *_, first = told["found"]
    assert (latest["model"], latest["policy"], len(latest["request_ids"])) == ("mine", "block", 1)
    assert {len(one["request_ids"]) for one in told["found"] if one["kind"] == "email"} == {1, 2}
    assert first["provider"] == "openai"


def test_findings_are_a_metric():
    def value():
        return REGISTRY.get_sample_value(f"{SENSITIVE_FINDINGS._name}_total", {"kind": "email"}) or 0

    before = value()
    count(row(chat("ann@example.org bob@example.org")))
    count(row(chat("ann@example.org", sensitive_policy="off")))
    assert value() == before + 2


async def test_reanalyze_fills_calls_of_an_older_version(tmp_path):
    from lessllm_collector.reanalyze import reanalyze

    running = Running(tmp_path / "calls.duckdb")
    try:
        await running.add(record(DAY, request_body=b'{"messages": [{"content": "ann@example.org"}]}'))
        await running.ask("UPDATE internal.calls SET sensitive_findings = NULL")
        assert await reanalyze(running.writer, PRICES, None) == 1
        assert await running.ask("SELECT sensitive_findings FROM internal.calls") == [('{"email":1}',)]
    finally:
        await running.close()
