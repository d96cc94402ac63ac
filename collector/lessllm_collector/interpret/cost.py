"""Token counts and a model in, USD out (SEMANTICS section 6).

The user's own prices win over genai-prices' bundled ones. An unknown price is None with a reason, never 0.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import genai_prices
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, Provider
from lessllm_shared.config.sections import Price
from lessllm_shared.providers import PRESETS
from lessllm_shared.record import ApiFormat, CallRecord, EndReason
from lessllm_shared.tolerant_json import loads

from lessllm_collector.interpret.answer import response_model
from lessllm_collector.interpret.usage import Usage

_CUT_OFF = frozenset({EndReason.CLIENT_CANCELLED, EndReason.TRUNCATED})
_BYTES_PER_TOKEN = 4
_MAX_RESOLVED = 10_000  # clients choose model names: the cache must not grow with them
_PROMPT_KEYS = ("messages", "system", "tools", "input", "instructions", "prompt", "contents")
_ANSWER_KEYS = ("choices", "content", "output", "candidates")
_Known = tuple[Provider, ModelInfo]


@dataclass(frozen=True)
class _Counts:
    prompt: int
    completion: int
    cached: int = 0
    write: int = 0
    write_1h: int = 0


class Prices:
    """Prices by model: `configured` ones, else genai-prices'. Each model is looked up once."""

    def __init__(self, configured: Mapping[str, Price]) -> None:
        self._configured = configured
        self._resolved: dict[tuple[str, str], _Known | None] = {}

    def configured(self, *models: str | None) -> Price | None:
        """The user's own price of the first of these models that has one."""
        return next(
            (self._configured[model] for model in models if model is not None and model in self._configured),
            None,
        )

    def known(self, provider: str | None, *models: str | None) -> _Known | None:
        """genai-prices' entry of the first of these models that it knows at this provider."""
        preset = PRESETS.get(provider or "")
        if preset is None or preset.price_id is None:
            return None
        named = (model for model in models if model)
        return next((found for model in named if (found := self._resolve(preset.price_id, model))), None)

    def _resolve(self, price_id: str, model: str) -> _Known | None:
        key = (price_id, model)
        if key not in self._resolved:
            if len(self._resolved) >= _MAX_RESOLVED:
                self._resolved.clear()
            try:
                self._resolved[key] = get_snapshot().find_provider_model(model, None, price_id, None)
            except LookupError:
                self._resolved[key] = None
        return self._resolved[key]


def costs(record: CallRecord, value: Any, usage: Usage, prices: Prices) -> dict[str, Any]:
    """The money columns. `value` is the parsed answer."""
    counts, basis = _counts(record, value, usage)
    if counts is None:
        return _row(price_source="no_usage")
    own = prices.configured(record.model, record.upstream_model)
    price: Callable[[_Counts], float]
    if own is not None:
        price = partial(_own, own)
        source, version = "configured", None
    else:
        known = prices.known(record.provider, response_model(value), record.upstream_model)
        if known is None:
            return _row(price_source="unknown_model")
        when = datetime.fromtimestamp(record.t0_unix_ns / 1e9, UTC)
        price = partial(_listed, known, when)
        source, version = "genai-prices", genai_prices.__version__
    cost, bare = price(counts), _uncached(counts)
    fresh = cost if bare == counts else price(bare)  # genai-prices takes 0.1 ms: not for nothing
    reported = usage.cached is not None or usage.cache_write is not None
    return _row(
        estimated_cost_usd=cost,
        cost_basis=basis,
        cache_savings_usd=fresh - cost if reported else None,
        price_source=source,
        price_version=version,
    )


def _row(**columns: Any) -> dict[str, Any]:
    return {**dict.fromkeys(_COLUMNS), **columns}


def _counts(record: CallRecord, value: Any, usage: Usage) -> tuple[_Counts | None, str | None]:
    prompt, completion = usage.prompt, usage.completion
    if prompt is None or completion is None:
        basis = "reported" if record.api_format is ApiFormat.EMBEDDINGS and prompt is not None else "partial"
        if record.end_reason in _CUT_OFF and record.upstream_start_ns is not None:
            basis = "estimated"
            prompt = _prompt_tokens(record) if prompt is None else prompt
            completion = _tokens(value, _ANSWER_KEYS) if completion is None else completion
        elif prompt is None and completion is None:
            return None, None
    else:
        basis = "reported"
    prompt = prompt or 0
    # Parts beyond the whole are a provider's mistake: price what fits.
    cached = min(usage.cached or 0, prompt)
    write = min(usage.cache_write or 0, prompt - cached)
    return _Counts(prompt, completion or 0, cached, write, min(usage.cache_write_1h or 0, write)), basis


def _uncached(counts: _Counts) -> _Counts:
    return replace(counts, cached=0, write=0, write_1h=0)


def _own(price: Price, counts: _Counts) -> float:
    fresh_price = price.input_usd_per_mtok
    read = price.cache_read_usd_per_mtok
    write = price.cache_write_usd_per_mtok
    fresh = counts.prompt - counts.cached - counts.write
    return (
        fresh * fresh_price
        + counts.cached * (fresh_price if read is None else read)
        + counts.write * (fresh_price if write is None else write)
        + counts.completion * price.output_usd_per_mtok
    ) / 1e6


def _listed(known: _Known, when: datetime, counts: _Counts) -> float:
    provider, model = known
    usage = genai_prices.Usage(
        input_tokens=counts.prompt,
        output_tokens=counts.completion,
        cache_read_tokens=counts.cached,
        cache_write_tokens=counts.write,
        cache_write_1h_tokens=counts.write_1h,
    )
    return float(model.calc_price(usage, provider, genai_request_timestamp=when).total_price)


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


_COLUMNS = ("estimated_cost_usd", "cost_basis", "cache_savings_usd", "price_source", "price_version")
