"""The simulated models and their cache rules, read from models.toml. The fields are explained there."""

import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from importlib.resources import files
from typing import Literal

import msgspec


class CacheRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a model's prompt cache works: one of three kinds, each with its own figures."""

    kind: Literal["prefix", "breakpoints", "markers"]
    minimum_tokens: int
    step_tokens: int = 0
    idle_ttl_s: float = 0
    max_ttl_s: float = float("inf")
    max_writes: int = 0
    max_lookups: int = 0
    look_back_blocks: int = 0


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    provider: Literal["openai", "anthropic"]
    released: date
    context_tokens: int
    prefill_ms: float
    prefill_ms_per_ktok: float
    kind: Literal["chat", "completion", "embedding"] = "chat"
    snapshot: str | None = None
    display_name: str | None = None
    cache: str | None = None
    max_output_tokens: int = 0
    reasoning_tokens: int = 0
    tpot_ms: float = 0
    tokens_per_event: int = 1
    dimensions: int = 0


class Model(msgspec.Struct, frozen=True):
    """A model as a request may name it: by its alias or by its snapshot."""

    id: str
    snapshot: str  # what answers name
    entry: _Entry
    cache: CacheRules | None

    @property
    def released_unix_s(self) -> int:
        """Midnight UTC of the day of release."""
        day = self.entry.released
        return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


class Catalogue:
    """All models of models.toml."""

    def __init__(self) -> None:
        text = files(__package__).joinpath("models.toml").read_text("utf-8")
        data = tomllib.loads(text)
        rules = msgspec.convert(data["cache"], dict[str, CacheRules])
        self._models: dict[str, Model] = {}
        for name, entry in msgspec.convert(data["model"], dict[str, _Entry]).items():
            model = Model(name, entry.snapshot or name, entry, rules[entry.cache] if entry.cache else None)
            self._models[model.id] = self._models[model.snapshot] = model

    def find(self, name: str, provider: str, kind: str) -> Model | None:
        """The model of that name, if this provider serves it for this kind of request."""
        model = self._models.get(name)
        if model is None or (model.entry.provider, model.entry.kind) != (provider, kind):
            return None
        return model

    def of(self, provider: str) -> Iterator[tuple[str, Model]]:
        """Every name under which the provider lists a model, with the model."""
        return ((name, model) for name, model in self._models.items() if model.entry.provider == provider)
