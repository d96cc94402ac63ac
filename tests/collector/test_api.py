"""The HTTP API from outside: answers, formats, keys, and an error in one form for everything wrong."""

import csv
import hmac
import io
import json
from datetime import UTC, datetime

import duckdb
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lessllm_collector.api import create_api, install_errors
from lessllm_collector.backup import Backups
from lessllm_collector.reading import Reading
from lessllm_collector.switches import Switches
from lessllm_shared.config.sections import Cache, Logging, Query

ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
JSON_TYPE = {"content-type": "application/json"}


class Reanalysis:
    def __init__(self):
        self.since = []

    async def __call__(self, since):
        self.since.append(since)
        return 7


@pytest.fixture
def reanalysis():
    return Reanalysis()


@pytest.fixture
def ended():
    return []


@pytest.fixture
def client_for(store, reanalysis, ended):
    def make(limits=None, api_key=None, reanalyze=reanalysis):
        app = FastAPI(title="LessLLM collector")
        install_errors(app)
        switches = Switches.configured(Logging())
        backups = Backups(store, lambda: None)
        reading = Reading(store, limits or Query(), Cache(), ended.append)
        app.include_router(create_api(store, reading, switches, reanalyze, backups, api_key))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://collector", timeout=30)

    return make


@pytest.fixture
def client(client_for):
    return client_for()


def error(response, status, code):
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()) == {"error"} and set(response.json()["error"]) == {"code", "message"}
    assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text
    return response.json()["error"]["message"]


async def test_a_question_is_answered_as_json(client):
    sql = "SELECT model, count(*) AS calls FROM api_calls GROUP BY 1 ORDER BY 2 DESC, 1"
    response = await client.post("/query", json={"sql": sql})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-lessllm-truncated"] == "false"
    answer = response.json()
    assert float(response.headers["x-lessllm-elapsed-ms"]) == answer["elapsed_ms"] > 0
    assert int(response.headers["content-length"]) == len(response.content)
    assert answer["columns"] == [{"name": "model", "type": "VARCHAR"}, {"name": "calls", "type": "BIGINT"}]
    assert answer["rows"] == [["gpt-4o", 3], ["mine", 1], [None, 1]]
    assert answer["truncated"] is False


async def test_a_question_is_answered_in_the_format_that_is_accepted(client):
    body = {"sql": "SELECT sequence, timestamp FROM api_calls ORDER BY 1", "max_rows": 2}
    response = await client.post("/query", json=body, headers={"accept": ARROW})
    assert response.headers["content-type"] == ARROW
    assert response.headers["x-lessllm-truncated"] == "true"
    assert pa.ipc.open_stream(response.content).read_all().column("sequence").to_pylist() == [1, 2]
    response = await client.post("/query", json=body, headers={"accept": "text/csv"})
    assert response.headers["content-type"].startswith("text/csv")
    assert list(csv.reader(io.StringIO(response.text)))[1] == ["1", "2026-11-01T12:00:00.000000Z"]
    response = await client.post("/query", json=body, headers={"accept": PARQUET})
    assert response.headers["content-type"] == PARQUET
    assert pq.read_table(io.BytesIO(response.content)).num_rows == 2


async def test_parameters_fill_places_by_position_or_name(client):
    for sql, params in (("SELECT ? || ?", ["a", "b"]), ("SELECT $x || $y", {"x": "a", "y": "b"})):
        response = await client.post("/query", json={"sql": sql, "params": params})
        assert response.json()["rows"] == [["ab"]]
    response = await client.post("/query", json={"sql": "SELECT ?, ?, ?", "params": [None, 1.5, [1, 2]]})
    assert response.json()["rows"] == [[None, 1.5, [1, 2]]]


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b"", "invalid_json", "JSON"),
        (b"{", "invalid_json", "JSON"),
        (b"\xff", "invalid_json", "JSON"),
        (b'{"sql": "\xff"}', "invalid_json", "JSON"),
        (b'{"sql": "\\ud800"}', "invalid_json", "JSON"),
        (b"[" * 100_000, "invalid_request", "object"),
        (b'{"sql": "SELECT ?", "params": ' + b"[" * 100_000, "invalid_request", "$.params"),
        (b"[]", "invalid_request", "object"),
        (b"{}", "invalid_request", "`sql`"),
        (b'{"sql": 3}', "invalid_request", "$.sql"),
        (b'{"sql": null}', "invalid_request", "$.sql"),
        (b'{"sql": "SELECT 1", "limit": 3}', "invalid_request", "`limit`"),
        (b'{"sql": "SELECT 1", "max_rows": 0}', "invalid_request", "$.max_rows"),
        (b'{"sql": "SELECT 1", "max_rows": "3"}', "invalid_request", "$.max_rows"),
        (b'{"sql": "SELECT ?", "params": 3}', "invalid_request", "$.params"),
        (b'{"sql": "SELECT ?", "params": [{}]}', "invalid_request", "$.params"),
        (b'{"sql": "SELECT ?", "params": [[[1]]]}', "invalid_request", "$.params"),
        (b'{"sql": "SELECT ?", "params": [1e999]}', "invalid_request", "$.params"),
        (b'{"sql": "SELCT 1"}', "sql_error", "SELCT"),
        (b'{"sql": "DROP VIEW api_calls"}', "read_only", "SELECT"),
    ],
    ids=range(20),
)
async def test_a_wrong_question_is_explained(client, body, code, words):
    response = await client.post("/query", content=body, headers=JSON_TYPE)
    assert words in error(response, 400, code)


async def test_only_json_of_bounded_size_is_read(client):
    response = await client.post("/query", content=b'{"sql": "SELECT 1"}')
    error(response, 415, "unsupported_media_type")
    response = await client.post("/query", data={"sql": "SELECT 1"})
    error(response, 415, "unsupported_media_type")
    response = await client.post("/query", json={"sql": "SELECT 1", "params": ["x" * 1024 * 1024]})
    error(response, 413, "body_too_large")
    response = await client.post("/query", json={"sql": "SELECT 1"}, headers={"accept": "text/html"})
    assert "text/csv" in error(response, 406, "not_acceptable")
    headers = {"content-type": "application/JSON; charset=utf-8"}
    assert (await client.post("/query", content=b'{"sql": "SELECT 1"}', headers=headers)).is_success


async def test_limits_are_the_configured_ones(client_for, ended):
    client = client_for(Query(max_rows=3, timeout_s=0.2))
    response = await client.post("/query", json={"sql": "FROM range(10)", "max_rows": 100})
    assert (len(response.json()["rows"]), response.json()["truncated"]) == (3, True)
    response = await client.post("/query", json={"sql": "SELECT count(*) FROM range(1000000000000)"})
    assert "timeout_s" in error(response, 422, "query_timeout")
    assert ended == []


async def test_calls_are_listed_and_shown(client):
    page = (await client.get("/calls", params={"limit": 2})).json()
    assert [one["sequence"] for one in page["calls"]] == [5, 4]
    page = (await client.get("/calls", params={"limit": 2, "before": page["next"], "model": "gpt-4o"})).json()
    assert [one["sequence"] for one in page["calls"]] == [2, 1]
    response = await client.get(f"/calls/{page['calls'][1]['request_id']}")
    assert response.headers["content-type"] == "application/json"
    assert response.json()["raw_request"]["messages"][0]["content"] == "hello"
    for unknown in ("nobody", "00000064-0064-7000-8000-000000000064", "ffffffff-ffff-7fff-bfff-ffffffffffff"):
        error(await client.get(f"/calls/{unknown}"), 404, "unknown_call")
    assert "did you mean model?" in error(await client.get("/calls?modle=x"), 400, "unknown_filter")
    assert error(await client.get("/calls?limit=0"), 422, "invalid_parameter").startswith("limit:")
    assert error(await client.get("/calls?limit=x"), 422, "invalid_parameter").startswith("limit:")


async def test_stats_are_reported(client):
    report = (await client.get("/stats", params={"days": 366})).json()
    assert set(report) == {
        *("since", "until", "totals", "by_model", "by_day", "by_user", "by_provider", "by_streaming"),
        *("by_session", "by_key", "slowest", "dearest", "unpriced", "cache_prediction"),
    }
    assert "prompt" not in report["dearest"][0]
    report = (await client.get("/stats", params={"days": 366, "prompts": "true"})).json()
    assert report["dearest"][0]["prompt"] == "hello"
    until = datetime.fromisoformat(report["until"])
    assert until.tzinfo is not None and (datetime.now(UTC) - until).total_seconds() < 60
    assert report["totals"].keys() >= {"calls", "cost_usd", "ttft_ms_p95", "unpriced_calls"}
    error(await client.get("/stats?days=0"), 422, "invalid_parameter")


async def test_calls_are_exported(client):
    response = await client.get("/export", params={"model": ["gpt-4o", "mine"], "start_date": "2026-11-01"})
    assert response.headers["x-lessllm-rows"] == "4"
    assert response.headers["content-type"] == PARQUET
    assert pq.read_table(io.BytesIO(response.content)).num_rows == 4
    assert "did you mean model?" in error(await client.get("/export?modle=x"), 400, "unknown_filter")
    error(await client.get("/export?end_date=soon"), 400, "invalid_date")


async def test_settings_are_shown_and_changed_one_by_one(client):
    assert (await client.get("/settings")).json() == {"debug_mode": False, "enable_cache_analysis": True}
    response = await client.patch("/settings", json={"debug_mode": True})
    assert response.json() == {"debug_mode": True, "enable_cache_analysis": True}
    response = await client.patch("/settings", json={"enable_cache_analysis": False})
    assert response.json() == {"debug_mode": True, "enable_cache_analysis": False}
    assert "`debug`" in error(await client.patch("/settings", json={"debug": True}), 400, "invalid_request")
    assert "$.debug_mode" in error(
        await client.patch("/settings", json={"debug_mode": 1}), 400, "invalid_request"
    )
    assert (await client.get("/settings")).json() == {"debug_mode": True, "enable_cache_analysis": False}


async def test_a_reanalysis_is_started(client, reanalysis):
    assert (await client.post("/reanalyze", json={})).json() == {"rows": 7}
    assert (await client.post("/reanalyze", json={"since": "2026-11-01"})).json() == {"rows": 7}
    assert reanalysis.since == [None, datetime(2026, 11, 1, tzinfo=UTC)]
    error(await client.post("/reanalyze", json={"since": "soon"}), 400, "invalid_date")
    error(await client.post("/reanalyze", content=b"{}"), 415, "unsupported_media_type")


async def test_at_its_end_the_app_waits_for_what_runs(client_for):
    client = client_for()
    app = client._transport.app
    async with app.router.lifespan_context(app):
        assert (await client.post("/query", json={"sql": "SELECT 1"})).is_success
    error(await client.post("/query", json={"sql": "SELECT 1"}), 500, "internal_error")


async def test_other_paths_and_methods_are_errors_of_the_same_form(client):
    error(await client.get("/nowhere"), 404, "not_found")
    error(await client.get("/query"), 405, "method_not_allowed")
    error(await client.delete("/settings"), 405, "method_not_allowed")


async def test_a_defect_is_an_error_of_the_same_form_that_tells_nothing(client_for):
    async def fail(since):
        raise RuntimeError(f"s3cret {since}")

    response = await client_for(reanalyze=fail).post("/reanalyze", json={})
    assert "s3cret" not in error(response, 500, "internal_error")


async def test_a_full_disk_and_a_database_that_is_not_open_are_told(client_for, store):
    async def fail(since):
        raise duckdb.IOException(f"IO Error: {since}: No space left on device")

    client = client_for(reanalyze=fail)
    assert "the disk is full" in error(await client.post("/reanalyze", json={}), 507, "disk_full")
    store.trouble = "the database failed and is opened again"
    for method, path in (("GET", "/calls"), ("GET", "/export"), ("GET", "/backup")):
        told = error(await client.request(method, path), 503, "database_unavailable")
        assert told == store.trouble
    store.trouble = None
    assert (await client.get("/backup")).status_code != 503  # nothing is left behind by the refused one


PATHS = (
    "/query",
    "/calls",
    "/calls/x",
    "/stats",
    "/sensitive",
    "/suggestions",
    "/export",
    "/backup",
    "/settings",
    "/reanalyze",
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "sent", [None, "Bearer wrong", "Bearer ", "Bearer k3y2", "bearer", "Basic azN5", "Bearer k\xe9y"]
)
async def test_with_a_key_nobody_passes_without_it(client_for, path, sent):
    client = client_for(api_key="k3y")
    headers = {} if sent is None else {"authorization": sent.encode("latin-1")}
    method = "POST" if path in ("/query", "/reanalyze") else "GET"
    response = await client.request(method, path, headers=headers)
    message = error(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"
    assert "k3y" not in message


async def test_how_long_comparing_a_key_takes_tells_nothing_of_it(client_for, monkeypatch):
    """What is compared is never the key, and always as long."""
    compared = []

    def spy(*digests):
        compared.append(digests)
        return real(*digests)

    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", spy)
    client = client_for(api_key="k3y")
    for sent in ("", "B", "Bearer k3x", "Bearer k3y", "Bearer k3y" * 500):
        response = await client.get("/stats", headers={"authorization": sent})
        assert response.is_success is (sent == "Bearer k3y")
    assert [(len(sent), len(wanted)) for sent, wanted in compared] == [(32, 32)] * 5
    assert len({wanted for _, wanted in compared}) == 1
    assert b"k3y" not in b"".join(digest for pair in compared for digest in pair)


async def test_with_the_key_all_is_open(client_for):
    client = client_for(api_key="k3y")
    client.headers["authorization"] = "Bearer k3y"
    assert (await client.post("/query", json={"sql": "SELECT 1"})).is_success
    assert (await client.get("/stats")).is_success
    assert (await client.patch("/settings", json={"debug_mode": True})).is_success


async def test_the_documentation_names_every_path_with_an_example(client):
    document = (await client.get("/openapi.json")).json()
    operations = {
        (path, method): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert {path for path, _ in operations} == {*PATHS[:2], "/calls/{request_id}", *PATHS[3:]}
    for (path, method), operation in operations.items():
        assert operation["summary"] and operation["description"], path
        answers = operation["responses"]["200"]["content"]
        files = {"application/vnd.apache.parquet", "application/vnd.duckdb"}
        assert files & answers.keys() or answers["application/json"]["example"]
        if method in ("post", "patch"):
            assert operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
        error_answer = operation["responses"]["400"]["content"]["application/json"]
        assert error_answer["example"]["error"]["code"]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=60)
    | _json.map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries(
        {"sql": st.sampled_from(["SELECT ?", "SELECT $a", "SELECT 1"]) | st.text(max_size=20)},
        optional={"params": _json, "max_rows": _json},
    ).map(lambda value: json.dumps(value).encode())
)
async def test_whatever_is_sent_the_answer_is_an_answer_or_a_refusal(client, body):
    response = await client.post("/query", content=body, headers=JSON_TYPE)
    if response.status_code != 200:
        assert response.json()["error"]["message"]
        assert response.status_code in (400, 422)
