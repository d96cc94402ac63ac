"""Token counts, prices and terms in, the money columns out (SEMANTICS section 6).

The prices used are stored with the cost, so that SQL can work it out again (docs/costs.md). An unknown cost
is None with a reason, never 0.
"""

from dataclasses import dataclass
from typing import Any

from lessllm_shared.record import ApiFormat, CallRecord, EndReason
from lessllm_shared.tolerant_json import loads

from lessllm_collector.interpret.answer import response_model
from lessllm_collector.interpret.prices import Prices, UnitPrices
from lessllm_collector.interpret.terms import terms_of
from lessllm_collector.interpret.usage import Usage, at

_CUT_OFF = frozenset({EndReason.CLIENT_CANCELLED, EndReason.TRUNCATED})
_BYTES_PER_TOKEN = 4
_PROMPT_KEYS = ("messages", "system", "tools", "input", "instructions", "prompt", "contents")
_ANSWER_KEYS = ("choices", "content", "output", "candidates")


@dataclass(frozen=True)
class _Counts:
    prompt: int
    completion: int
    cached: int
    write: int
    write_1h: int


def costs(record: CallRecord, value: Any, usage: Usage, prices: Prices) -> dict[str, Any]:
    """The money columns. `value` is the parsed answer."""
    prompt, completion, basis = _tokens_billed(record, value, usage)
    if basis is None:
        return _row(price_source="no_usage")
    counts = _parts(prompt or 0, completion or 0, usage)
    terms = terms_of(record, value, usage)
    quote = prices.quote(record, response_model(value), terms, counts.prompt)
    row = _row(
        price_source=quote.source,
        price_version=quote.version,
        price_terms=", ".join(f"{term}={text}" for term, text in terms.items()) or None,
        estimated_prompt_tokens=prompt if usage.prompt is None else None,
        estimated_completion_tokens=completion if usage.completion is None else None,
    )
    unit = quote.prices
    if unit is None:
        return row
    fees = unit.request + unit.web_search * _web_searches(usage)
    reported = usage.cached is not None or usage.cache_write is not None
    return row | {
        "estimated_cost_usd": _token_cost(counts, unit) + fees,
        "cost_basis": basis,
        "cache_savings_usd": _savings(counts, unit) if reported else None,
        "input_usd_per_mtok": unit.input,
        "output_usd_per_mtok": unit.output,
        "cache_read_usd_per_mtok": unit.cache_read,
        "cache_write_usd_per_mtok": unit.cache_write,
        "cache_write_1h_usd_per_mtok": unit.cache_write_1h,
        "fees_usd": fees,
    }


def _row(**columns: Any) -> dict[str, Any]:
    return {**dict.fromkeys(_COLUMNS), **columns}


def _tokens_billed(record: CallRecord, value: Any, usage: Usage) -> tuple[int | None, int | None, str | None]:
    """Prompt and completion, and the cost's basis: None if nothing is known."""
    prompt, completion = usage.prompt, usage.completion
    if prompt is not None and (completion is not None or record.api_format is ApiFormat.EMBEDDINGS):
        return prompt, completion, "reported"
    if record.end_reason in _CUT_OFF and record.upstream_start_ns is not None:
        return (
            _prompt_tokens(record) if prompt is None else prompt,
            _tokens(value, _ANSWER_KEYS) if completion is None else completion,
            "estimated",
        )
    return prompt, completion, None if prompt is None and completion is None else "partial"


def _parts(prompt: int, completion: int, usage: Usage) -> _Counts:
    """Parts beyond the whole are a provider's mistake: what fits is priced."""
    cached = min(usage.cached or 0, prompt)
    write = min(usage.cache_write or 0, prompt - cached)
    return _Counts(prompt, completion, cached, write, min(usage.cache_write_1h or 0, write))


def _token_cost(counts: _Counts, unit: UnitPrices) -> float:
    return (
        (counts.prompt - counts.cached - counts.write) * unit.input
        + counts.cached * unit.cache_read
        + (counts.write - counts.write_1h) * unit.cache_write
        + counts.write_1h * unit.cache_write_1h
        + counts.completion * (unit.output or 0)
    ) / 1e6


def _savings(counts: _Counts, unit: UnitPrices) -> float:
    """What reads saved, less what writes cost more than fresh tokens: negative when they were wasted."""
    return (
        counts.cached * (unit.input - unit.cache_read)
        - (counts.write - counts.write_1h) * (unit.cache_write - unit.input)
        - counts.write_1h * (unit.cache_write_1h - unit.input)
    ) / 1e6


def _web_searches(usage: Usage) -> int:
    """As Anthropic reports them; other providers' usage has none."""
    count = at(usage.raw, ("server_tool_use", "web_search_requests"))
    return count if type(count) is int and count > 0 else 0


def _prompt_tokens(record: CallRecord) -> int:
    try:
        return _tokens(loads(record.request_body), _PROMPT_KEYS)
    except ValueError:
        return len(record.request_body) // _BYTES_PER_TOKEN


def _tokens(value: Any, keys: tuple[str, ...]) -> int:
    texts = 0
    rest = [value.get(key) for key in keys] if isinstance(value, dict) else []
    while rest:
        item = rest.pop()
        if isinstance(item, str) and not item.startswith("data:"):  # an image is not counted by its bytes
            texts += len(item.encode("utf-8", "replace"))
        elif isinstance(item, dict):
            rest.extend(item.values())
        elif isinstance(item, list):
            rest.extend(item)
    return -(-texts // _BYTES_PER_TOKEN)


_COLUMNS = (
    *("estimated_cost_usd", "cost_basis", "cache_savings_usd"),
    *("price_source", "price_version", "price_terms"),
    *("estimated_prompt_tokens", "estimated_completion_tokens"),
    *("input_usd_per_mtok", "output_usd_per_mtok", "cache_read_usd_per_mtok"),
    *("cache_write_usd_per_mtok", "cache_write_1h_usd_per_mtok", "fees_usd"),
)
