"""What every stream reader offers."""

from enum import IntEnum
from typing import Any, Protocol

from lessllm_shared.sse import Event
from lessllm_shared.tolerant_json import loads


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


def json_object(event: Event) -> dict[str, Any] | None:
    """The object in an event's data; None if there is something else."""
    try:
        value = loads(event.data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
