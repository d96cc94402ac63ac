"""A model, its provider, a time and terms in; what each part of such a call costs out (SEMANTICS section 6).

The user's own prices win over genai-prices' bundled ones. A price is resolved to one figure for each part, so
that who has the figures can work the cost out again. What is not known is a reason, never 0.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import urlsplit

import genai_prices
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, PriceVariant, TieredPrices
from lessllm_shared.config.sections import Price
from lessllm_shared.providers import PRESETS
from lessllm_shared.record import CallRecord

from lessllm_collector.interpret import terms as price_terms
from lessllm_collector.interpret.terms import Terms

UNKNOWN_MODEL = "unknown_model"
UNKNOWN_TERMS = "unknown_terms"

_VERSION = f"{genai_prices.__version__}+{price_terms.VERSION}"
_MAX_RESOLVED = 10_000  # clients choose model names: the caches must not grow with them
_MINUTE_NS = 60 * 10**9  # prices change on the minute at the soonest


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    provider: str
    model: ModelInfo
    variants: list[PriceVariant]


@dataclass(frozen=True, slots=True)
class UnitPrices:
    """USD per million tokens; USD for each request and each web search. `output` None: it has none."""

    input: float
    output: float | None
    cache_read: float
    cache_write: float
    cache_write_1h: float
    request: float = 0.0
    web_search: float = 0.0


@dataclass(frozen=True, slots=True)
class Quote:
    """Prices and where they are from, or in `source` why there are none."""

    source: str
    prices: UnitPrices | None = None
    version: str | None = None


class _Tariff:
    """What a model costs at some time on some terms, by the length of the prompt."""

    def __init__(self, price: ModelPrice, factor: float | None) -> None:
        """`factor`: what all of it is multiplied by; None: that is not known."""
        self._price = price
        self._factor = factor
        tiered = (figure for figure in vars(price).values() if isinstance(figure, TieredPrices))
        self._starts = sorted({tier.start for figure in tiered for tier in figure.tiers})
        self._quotes: dict[int, Quote] = {}  # by how many tiers' starts are exceeded

    def quote(self, prompt_tokens: int) -> Quote:
        reached = bisect_left(self._starts, prompt_tokens)
        if reached not in self._quotes:
            self._quotes[reached] = self._quote(prompt_tokens)
        return self._quotes[reached]

    def _quote(self, prompt_tokens: int) -> Quote:
        if self._factor is None:
            return Quote(UNKNOWN_TERMS)
        prices = _unit_prices(self._price, prompt_tokens, self._factor)
        return Quote(UNKNOWN_MODEL) if prices is None else Quote("genai-prices", prices, _VERSION)


class Prices:
    """`configured` prices by model, else genai-prices'. Each is looked up once, and once more each minute."""

    def __init__(self, configured: Mapping[str, Price]) -> None:
        self._configured = configured
        self._resolved: dict[tuple[str | None, str | None, str], _Known | None] = {}
        self._tariffs: dict[tuple[_Known, int, tuple[tuple[str, str], ...]], _Tariff] = {}

    def quote(
        self, record: CallRecord, response_model: str | None, terms: Terms, prompt_tokens: int
    ) -> Quote:
        """For a call whose whole prompt has `prompt_tokens`. Own prices hold on all terms."""
        for model in (record.model, record.upstream_model):
            if model is not None and model in self._configured:
                return Quote("configured", _own(self._configured[model]))
        named = (model for model in (response_model, record.upstream_model) if model)
        known = next((found for model in named if (found := self._known(record, model))), None)
        if known is None:
            return Quote(UNKNOWN_MODEL)
        minute = record.t0_unix_ns // _MINUTE_NS
        key = (known, minute, tuple(terms.items()))
        if key not in self._tariffs:
            if len(self._tariffs) >= _MAX_RESOLVED:
                self._tariffs.clear()
            self._tariffs[key] = _tariff(known, datetime.fromtimestamp(minute * 60, UTC), terms)
        return self._tariffs[key].quote(prompt_tokens)

    def _known(self, record: CallRecord, model: str) -> _Known | None:
        preset = PRESETS.get(record.provider or "")
        price_id = preset.price_id if preset else None
        # A provider of the user's own naming is recognised by its address.
        origin = _origin(record.upstream_url) if price_id is None else None
        if price_id is None and origin is None:
            return None
        key = (price_id, origin, model)
        if key not in self._resolved:
            if len(self._resolved) >= _MAX_RESOLVED:
                self._resolved.clear()
            self._resolved[key] = _found(model, price_id, origin)
        return self._resolved[key]


def _found(name: str, price_id: str | None, origin: str | None) -> _Known | None:
    try:
        provider, model = get_snapshot().find_provider_model(name, None, price_id, origin)
    except LookupError:
        return None
    # Another provider's price of the same model says nothing of this one's tiers.
    is_its_own = any(model is one for one in provider.models)
    return _Known(provider.id, model, (model.price_variants or []) if is_its_own else [])


def _own(price: Price) -> UnitPrices:
    write = _first(price.cache_write_usd_per_mtok, price.input_usd_per_mtok)
    return UnitPrices(
        input=price.input_usd_per_mtok,
        output=price.output_usd_per_mtok,
        cache_read=_first(price.cache_read_usd_per_mtok, price.input_usd_per_mtok),
        cache_write=write,
        cache_write_1h=_first(price.cache_write_1h_usd_per_mtok, write),
    )


def _tariff(known: _Known, when: datetime, terms: Terms) -> _Tariff:
    model = known.model
    when = price_terms.moment(known.provider, model.id, when)
    named = [one.when for one in known.variants if one.constraint is None or one.constraint.active(when)]
    context = {term: value for term, value in terms.items() if {term: value} in named}
    rest = {term: value for term, value in terms.items() if term not in context}
    factor = price_terms.factor(known.provider, model.id, rest)
    return _Tariff(model.get_prices(when, context), factor)


def _unit_prices(price: ModelPrice, prompt_tokens: int, factor: float) -> UnitPrices | None:
    """None if the model's tokens have no price, or its reasoning tokens one of their own."""
    listed: Mapping[str, Decimal | TieredPrices | None] = vars(price)

    def of(name: str) -> float | None:
        figure = listed.get(name)
        if isinstance(figure, TieredPrices):  # all of a prompt's tokens are in the tier of its length
            reached = [tier.price for tier in figure.tiers if prompt_tokens > tier.start]
            figure = reached[-1] if reached else figure.base
        return None if figure is None else float(figure)

    def of_tokens(name: str) -> float | None:
        figure = of(name)
        return None if figure is None else figure * factor

    if not any(figure is not None for figure in listed.values()):
        return _FREE
    fresh = of_tokens("input_mtok")
    if fresh is None or of("output_reasoning_mtok") is not None:
        return None
    write = _first(of_tokens("cache_write_mtok"), fresh)
    return UnitPrices(
        input=fresh,
        output=of_tokens("output_mtok"),
        cache_read=_first(of_tokens("cache_read_mtok"), fresh),
        cache_write=write,
        cache_write_1h=_first(of_tokens("cache_write_1h_mtok"), write),
        request=_first(of("requests_kcount"), 0.0) / 1000,
        web_search=_first(of("web_searches_kcount"), 0.0) / 1000,
    )


def _first(price: float | None, otherwise: float) -> float:
    return otherwise if price is None else price


def _origin(url: str | None) -> str | None:
    """https://host of a URL: what tells providers apart."""
    parts = urlsplit(url or "")
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else None


_FREE = UnitPrices(input=0, output=0, cache_read=0, cache_write=0, cache_write_1h=0)
