"""What every stream reader offers."""

from enum import IntEnum
from typing import Any, Protocol

from lessllm_shared.sse import Event


class Brings(IntEnum):
    """What an event brings. Only non-empty generated content counts: not roles, pings, usage or starts."""

    NOTHING = 0
    REASONING = 1  # thinking, or a summary of it
    CONTENT = 2  # text, refusal, tool-call arguments, audio


class StreamReader(Protocol):
    """Reads one answer's events in order. Never raises on what an upstream sends."""

    finished: bool  # the format's terminator was seen
    error: dict[str, Any] | None  # an error event, as the provider sent it
    unknown_events: int  # events that this reader does not know or could not parse

    def __init__(self) -> None: ...

    def add(self, event: Event) -> Brings:
        """Take one event in."""
        ...

    def answer(self) -> dict[str, Any] | None:
        """What the provider would have answered without streaming, as far as it came. None: nothing came."""
        ...
