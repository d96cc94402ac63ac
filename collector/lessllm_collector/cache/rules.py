"""Which rules a provider's cache follows for a call, from rules.toml: every number is there."""

import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib.resources import files
from typing import Literal

import msgspec

from lessllm_collector.cache.segments import Prompt

Writes = Literal["marks", "turn", "end", "answer", "common"]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How prompts are cached. The fields are explained in rules.toml."""

    name: str
    kind: Literal["grid", "boundary"]
    providers: tuple[str, ...]
    models: tuple[str, ...] = ("*",)
    formats: tuple[str, ...] = ()
    marked: bool = False
    minimum_tokens: int = 0
    granularity_tokens: int = 1
    uncached_tokens: int = 0
    ttl_s: float | None = None
    ttls_s: dict[str, float] = {}
    longest_s: float | None = None
    from_start: bool = False
    available: Literal["first_byte", "end"] = "end"
    learns: bool = False
    shared: bool = False
    writes: tuple[Writes, ...] = ()
    breakpoints: int = 0
    look_back_blocks: int | None = None
    separates: tuple[str, ...] = ()
    drops_messages: tuple[str, ...] = ()

    @property
    def samples(self) -> bool:
        """Prefixes that end anywhere matter, not only those that end where segments do."""
        return self.kind == "grid" or "common" in self.writes

    def longest_ns(self, ttl_ns: int) -> int | None:
        """How long what is kept for `ttl_ns` may stay, however often it is used. None: no limit."""
        limit_ns = None if self.longest_s is None else int(self.longest_s * 1e9)
        return limit_ns if limit_ns is not None and ttl_ns < limit_ns else None

    def cacheable(self, tokens: float, prompt_tokens: float) -> int:
        """What is read from cache of a prefix of so many tokens that is there."""
        whole = int(min(tokens, prompt_tokens - self.uncached_tokens) + 1e-6)
        read = whole // self.granularity_tokens * self.granularity_tokens
        return read if read >= max(1, self.minimum_tokens) else 0


class Rules:
    """All of them. `alike` names, for providers of other names, the one whose rules they follow."""

    def __init__(self, alike: Mapping[str, str] | None = None) -> None:
        self._alike = alike or {}

    def find(self, provider: str, model: str, api_format: str, prompt: Prompt) -> Rule | None:
        """None: how this provider caches is not known."""
        fitting = _fitting(self._alike.get(provider, provider), model, api_format)
        return next((rule for rule in fitting if not rule.marked or _is_marked(prompt)), None)


@lru_cache(maxsize=1000)  # clients choose model names
def _fitting(provider: str, model: str, api_format: str) -> tuple[Rule, ...]:
    return tuple(
        rule
        for rule in RULES
        if provider in rule.providers
        and any(fnmatchcase(model, pattern) for pattern in rule.models)
        and (not rule.formats or api_format in rule.formats)
    )


def _is_marked(prompt: Prompt) -> bool:
    return any(segment.mark is not None for segment in prompt.segments)


def _load() -> tuple[Rule, ...]:
    data = tomllib.loads(files(__package__).joinpath("rules.toml").read_text("utf-8"))
    merged = [{**data["bases"].get(rule.pop("base", ""), {}), **rule} for rule in data["rules"]]
    return msgspec.convert(merged, tuple[Rule, ...])


RULES: tuple[Rule, ...] = _load()
