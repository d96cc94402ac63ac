"""One call, between the reading of its request and the sending of its answer.

A dialect (openai.chat, anthropic.messages, …) reads a body into a `ModelCall`; the cache and the model
turn it into an `Exchange`; the dialect writes that as JSON, or as `Beat`s that leave one by one.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from lessllm.simulator.answers import Answer, Ask
from lessllm.simulator.cache import Block, CacheUse, CacheWishes
from lessllm.simulator.models import Model
from lessllm.simulator.provider import ApiError, Provider


@dataclass(frozen=True, kw_only=True)
class ModelCall:
    """What is wanted, of which model, with which prompt. `asks` has one entry for each answer wanted."""

    model: Model
    body: Any  # the request, in its dialect's form
    blocks: tuple[Block, ...]
    asks: tuple[Ask, ...] = ()
    stream: bool = False
    cache_scope: str = ""  # what separates caches besides the key and the model
    cache_wishes: CacheWishes = field(default_factory=CacheWishes)


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A call with its answers: all that is needed to write it down."""

    call: ModelCall
    answers: tuple[Answer, ...]
    cache: CacheUse
    token: str  # random, from which ids are made
    created_unix_s: int
    dice: random.Random  # for what has no meaning: padding

    @property
    def answer(self) -> Answer:
        """The only answer, where a format knows but one."""
        return self.answers[0]

    @property
    def output_tokens(self) -> int:
        """Generated tokens of all answers."""
        return sum(answer.output_tokens for answer in self.answers)


@dataclass(frozen=True)
class Beat:
    """A piece of a stream, and how many tokens must be generated before it leaves."""

    data: bytes
    after_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class Stream:
    """How a format streams."""

    beats: Callable[[Exchange], Iterator[Beat]]
    error: Callable[[ApiError, str, int], bytes]  # with the request's id and the event's number


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """An API format: how a request is read and how its answer is written."""

    provider: Provider
    read: Callable[[bytes], ModelCall]  # raises ApiError
    write: Callable[[Exchange], dict[str, Any]]
    stream: Stream | None = None  # None: it can't
    stored_at_start: bool = False  # the cache is readable as soon as the answer begins
