"""What the demo's calls taught: by model, where the time went, what failed, the slowest; where to go on.

Everything is asked of the collector, as a user would ask it.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lessllm_shared import figures
from rich.console import RenderableType
from rich.text import Text

from lessllm import suggestion_view, tables, timeline, usage_table
from lessllm.call_view import short_id
from lessllm.demo.stage import Stage
from lessllm.result import QueryResult
from lessllm.screen import has_colours, width
from lessllm.session import Client

Part = RenderableType | str

_TIMES = """
    SELECT model, avg(total_latency_ms) AS total_ms,
           avg(coalesce(dns_ms, 0) + coalesce(tcp_connect_ms, 0) + coalesce(proxy_handshake_ms, 0)
               + coalesce(tls_ms, 0)) AS connecting_ms,
           avg(server_wait_ms) AS waiting_ms, avg(receive_ms) AS receiving_ms,
           avg(gateway_overhead_ms) AS lessllm_ms
    FROM api_calls WHERE end_reason = 'complete' GROUP BY model ORDER BY total_ms DESC
"""
_FAILED = """
    SELECT model, count(*) AS calls, status_code, error_code, any_value(error_message) AS message
    FROM api_calls WHERE end_reason <> 'complete'
    GROUP BY model, status_code, error_code ORDER BY calls DESC, status_code
"""
_SLOWEST = "SELECT * FROM api_calls ORDER BY total_latency_ms DESC LIMIT 3"
_LONGEST_MESSAGE = 60


def findings(client: Client) -> Iterator[Part]:
    """Raises what `query` raises."""
    stats = client.get_usage_stats(days=1)
    yield _totals(stats["totals"])
    yield _heading("By model; TTFT, TPOT and tokens/s are medians")
    yield usage_table.by("model", stats, width())
    yield from _times(client.query(_TIMES))
    yield from _failed(client.query(_FAILED))
    yield from _slowest(client.query(_SLOWEST))
    yield from _suggestions(client.get_suggestions(days=1))


def where_to_look(stage: Stage, *, stays: bool, is_kept: bool) -> Iterator[Part]:
    """What to do next."""
    yield _heading("Where to look next")
    if stays:
        yield (
            f"This runs until Ctrl-C. From another terminal:\n"
            f"  lessllm stats --by user --url {stage.collector_url}\n"
            f"  lessllm calls --url {stage.collector_url}\n"
            f'  lessllm query --url {stage.collector_url} "DESCRIBE api_calls"\n'
            f"  lessllm compare --last 3 --models gpt-4o,claude-haiku-4-5 \\\n"
            f"    --url {stage.collector_url} --gateway-url {stage.gateway_url}\n"
            f"  {stage.collector_url}/docs is the collector's HTTP API\n"
            f"An OpenAI SDK talks to the simulated provider with\n"
            f"  export OPENAI_BASE_URL={stage.gateway_url}/v1 OPENAI_API_KEY=any"
        )
    else:
        yield (
            "  lessllm demo --keep    the same, left running to be looked into\n"
            "  lessllm server         for your own calls; where they are made:\n"
            "                         export OPENAI_BASE_URL=http://127.0.0.1:8000/v1"
        )
    if is_kept:
        yield f"\nThe database stays: {stage.database}"
    elif not stays:
        yield "\nThe demo's database was temporary, and is gone."


def _totals(totals: dict[str, Any]) -> Part:
    return (
        f"\n{totals['calls']} calls, {totals['errors']} of them failed on purpose:"
        f" {figures.count(totals['total_tokens'])} tokens, {figures.money(totals['cost_usd'])};"
        f" prompt caches saved {figures.money(totals['cache_savings_usd'])}."
        "\nPrices are real; answers and latencies are simulated."
    )


def _times(rows: QueryResult) -> Iterator[Part]:
    yield _heading("Where the time goes, on average")
    columns = ("total_ms", "connecting_ms", "waiting_ms", "receiving_ms", "lessllm_ms")
    titles = ("model", "total", "connect", "first byte", "rest", "LessLLM")
    yield _table(
        titles, [(row["model"], *(figures.milliseconds(row[name]) for name in columns)) for row in rows]
    )


def _failed(rows: QueryResult) -> Iterator[Part]:
    if rows:
        yield _heading("What failed, and why")
        shown = [
            (
                row["model"] or figures.NULL,
                figures.count(row["calls"]),
                figures.cell(row["status_code"]),
                row["error_code"] or figures.NULL,
                textwrap.shorten(
                    figures.printable(row["message"] or figures.NULL), _LONGEST_MESSAGE, placeholder=" …"
                ),
            )
            for row in rows
        ]
        yield _table(("model", "calls", "status", "code", "message"), shown, numbers=2)


def _slowest(rows: QueryResult) -> Iterator[Part]:
    yield _heading("The slowest calls")
    columns = ("total_latency_ms", "estimated_ttft_ms")
    shown = [
        (
            row["model"] or figures.NULL,
            *(figures.milliseconds(row[name]) for name in columns),
            short_id(row),
        )
        for row in rows
    ]
    yield _table(("model", "total", "TTFT", "request"), shown, numbers=2)
    for row in rows[:1]:
        yield _heading("The first of them, as `lessllm show` draws it")
        yield timeline.draw(row, width())


def _suggestions(answer: Mapping[str, Any]) -> Iterator[Part]:
    if answer["suggestions"]:
        yield _heading("What to change, as `lessllm suggestions` tells it")
        yield from suggestion_view.parts(answer, width(), colours=has_colours())


def _heading(text: str) -> Part:
    return Text(f"\n{text}\n", style="bold")


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], numbers: int | None = None) -> Part:
    """The first column is a name; figures follow, `numbers` of them, or all."""
    last = len(titles) if numbers is None else numbers
    columns = [tables.Column(title, 0 < i <= last) for i, title in enumerate(titles)]
    return tables.of_text(columns, rows, width())
