"""What an answer says that decides its price besides the model, such as its service tier; and what that does.

The facts are in price_terms.toml, for what genai-prices does not have.
"""

import re
import tomllib
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from typing import Any

import msgspec
from lessllm_shared.record import CallRecord

from lessllm_collector.interpret.answer import header, text_at
from lessllm_collector.interpret.usage import Usage, at

Terms = Mapping[str, str]


class Factor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All prices of a model change by `factor` on these terms."""

    provider: str  # as genai-prices names it
    term: str
    value: str
    factor: float
    source: str
    models: str = ".*"


class Day(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """On these days the price of that hour holds all day."""

    provider: str
    models: str
    weekdays: tuple[int, ...]
    hour: int
    source: str


class _Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    standard: dict[str, tuple[str, ...]]
    factor: tuple[Factor, ...]
    day: tuple[Day, ...]


_FACTS = msgspec.convert(
    tomllib.loads(files(__package__).joinpath("price_terms.toml").read_text("utf-8")), _Facts
)
VERSION = _FACTS.version

_LONGEST = 40  # characters of a term: others write them


def terms_of(record: CallRecord, value: Any, usage: Usage) -> Terms:
    """The terms that are not those of the list price. `value` is the parsed answer."""
    raw = usage.raw or {}
    said = {
        "service_tier": text_at(value, ("service_tier",))
        or text_at(raw, ("service_tier",))
        or text_at(raw, ("serviceTier",))
        or header(record, "x-gemini-service-tier"),
        "speed": text_at(raw, ("speed",)),
        "inference_geo": text_at(raw, ("inference_geo",)),
    }
    terms = {
        name: text.lower()[:_LONGEST]
        for name, text in said.items()
        if text is not None and text.lower() not in _FACTS.standard[name]
    }
    if terms.get("service_tier") == "batch":  # genai-prices' name for it
        terms["processing"] = terms.pop("service_tier")
    if region := _REGION.match(record.upstream_url or ""):
        terms["region"] = region[1]
    if any(_is_count(at(raw, path)) for path in _AUDIO) or any(map(_has_audio, _modalities(raw))):
        terms["tokens"] = "audio"
    return terms


def factor(provider: str, model: str, terms: Terms) -> float | None:
    """What all prices are to be multiplied by; None if that is not known for one of the terms."""
    product = 1.0
    for term, value in terms.items():
        found = next((one.factor for one in _FACTS.factor if _fits(one, provider, model, term, value)), None)
        if found is None:
            return None
        product *= found
    return product


def moment(provider: str, model: str, when: datetime) -> datetime:
    """When a call made at `when` is priced as if it had been made."""
    for day in _FACTS.day:
        if day.provider == provider and when.weekday() in day.weekdays and re.fullmatch(day.models, model):
            return when.replace(hour=day.hour)
    return when


def _fits(one: Factor, provider: str, model: str, term: str, value: str) -> bool:
    return (
        (one.provider, one.term) == (provider, term)
        and re.fullmatch(one.value, value) is not None
        and re.fullmatch(one.models, model) is not None
    )


def _modalities(raw: dict[str, Any]) -> list[Any]:
    """Gemini's counts by modality."""
    lists = (raw.get(name) for name in ("promptTokensDetails", "candidatesTokensDetails"))
    return [one for found in lists if isinstance(found, list) for one in found]


def _has_audio(one: Any) -> bool:
    return at(one, ("modality",)) == "AUDIO" and _is_count(at(one, ("tokenCount",)))


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


_REGION = re.compile(r"https://([a-z]+)\.api\.openai\.com/")
_AUDIO = (
    ("prompt_tokens_details", "audio_tokens"),
    ("completion_tokens_details", "audio_tokens"),
    ("input_tokens_details", "audio_tokens"),
    ("output_tokens_details", "audio_tokens"),
)
