"""What is said to a collector, and what becomes of its answers and of its absence."""

import datetime as dt
import decimal
import json
import socket

import pytest
from lessllm.connection import ARROW, CSV, JSON, Connection, without_version
from lessllm.errors import QueryError, ServerError

ANSWER = {"columns": [], "rows": [], "truncated": False, "elapsed_ms": 1.0}


@pytest.fixture
def connection(stub):
    connection = Connection(collector_url=stub.url + "/", gateway_url=None, api_key=None)
    yield connection
    connection.close()


def free_url():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_a_query_names_its_format_and_says_what_came_back(stub, connection):
    stub.answers_with(
        "POST", "/query", b"a\n1\n", content_type=CSV, x_lessllm_truncated="true", x_lessllm_elapsed_ms="2.5"
    )
    answer = connection.query("SELECT 1 AS a", None, 1, CSV)
    assert (answer.content, answer.truncated, answer.elapsed_ms) == (b"a\n1\n", True, 2.5)
    method, path, headers, body = stub.last
    assert (method, path, headers["accept"]) == ("POST", "/query", CSV)
    assert json.loads(body) == {"sql": "SELECT 1 AS a", "max_rows": 1}


def test_parameters_may_be_dates_and_decimals(stub, connection):
    stub.answers_with("POST", "/query", ANSWER)
    connection.query("SELECT ?", [dt.date(2026, 11, 1), decimal.Decimal("1.5"), None], None, JSON)
    assert json.loads(stub.last[3])["params"] == ["2026-11-01", "1.5", None]


def test_a_refusal_has_the_collectors_words_and_code(stub, connection):
    error = {"error": {"code": "sql_error", "message": "no such column: mdoel"}}
    stub.answers_with("POST", "/query", error, status=400)
    with pytest.raises(QueryError, match="no such column: mdoel") as caught:
        connection.query("SELECT mdoel", None, None, ARROW)
    assert caught.value.code == "sql_error"


@pytest.mark.parametrize("status", [200, 404, 502])
def test_another_program_at_that_address_is_recognised(stub, connection, status):
    stub.answers_with("POST", "/query", b"<html>hello</html>", status=status, content_type="text/html")
    with pytest.raises(ServerError, match="isn't a collector's"):
        connection.query("SELECT 1", None, None, ARROW)
    stub.answers_with("GET", "/stats", b"[1]", status=status)
    with pytest.raises(ServerError, match="is the URL right"):
        connection.get("/stats")


def test_where_nothing_answers_the_remedy_is_named():
    connection = Connection(collector_url=free_url(), gateway_url=None, api_key=None)
    with pytest.raises(ServerError, match=r"nothing answers at http://127.*`lessllm server`"):
        connection.get("/stats")
    connection.close()


def test_a_gateway_that_is_away_has_nothing_to_flush(stub):
    stub.answers_with("GET", "/stats", {"total": {}})
    connection = Connection(collector_url=stub.url, gateway_url=free_url(), api_key=None)
    assert connection.get("/stats") == {"total": {}}
    connection.close()


def test_questions_come_after_what_the_gateway_still_has(stub):
    stub.answers_with("POST", "/flush", {"flushed": True})
    stub.answers_with("GET", "/stats", {})
    connection = Connection(collector_url=stub.url, gateway_url=stub.url, api_key=None)
    connection.get("/stats", days=7)
    assert [path.partition("?")[0] for _, path, _, _ in stub.requests] == ["/flush", "/stats"]
    connection.close()


def test_the_key_is_shown_to_the_collector_and_to_nobody_else(stub):
    stub.answers_with("GET", "/stats", {})
    stub.answers_with("POST", "/flush", {})
    connection = Connection(collector_url=stub.url, gateway_url=stub.url, api_key="the-key")
    connection.get("/stats")
    flush, question = stub.requests
    assert question[2]["authorization"] == "Bearer the-key"
    assert "authorization" not in flush[2]
    assert "the-key" not in repr(connection)
    connection.close()


def test_lists_are_repeated_and_nothing_is_left_out(stub, connection):
    stub.answers_with("GET", "/export", b"PAR1", x_lessllm_rows="3")
    filters = {"model": ["a", "b&c"], "start_date": dt.date(2026, 1, 2), "end_date": None}
    with connection.export(filters) as (rows, pieces):
        assert (rows, b"".join(pieces)) == (3, b"PAR1")
    assert stub.last[1] == "/export?model=a&model=b%26c&start_date=2026-01-02"


def test_an_export_that_breaks_off_is_no_export(stub, connection):
    stub.answers_with("GET", "/export", [b"PAR1", None])
    with pytest.raises(ServerError, match="broke off"), connection.export({}) as (_, pieces):
        list(pieces)


def test_a_request_id_stays_one_part_of_the_path(stub, connection):
    stub.answers_with("GET", "/calls/a%2F..%2Fb", {"request_id": "a/../b"})
    assert connection.call("a/../b") == {"request_id": "a/../b"}


def test_an_sdks_base_url_is_the_gateways_too():
    assert without_version("http://h:1/v1") == without_version("http://h:1/") == "http://h:1"
