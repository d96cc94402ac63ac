"""Requests, models and repeats → trials, in an order that is fair to the models; prompts no cache knows.

Each request goes to every model before the next one does, beginning with another model each time; then all
of it again for each repeat. So no model has a time of day or a place in the queue to itself, and a repeat
comes as late as can be: what a prompt cache gives it, it gives to every model.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lessllm_shared.record import ApiFormat

from lessllm.rerun.request import Request

ORDER = "each request on all models in turn, beginning with another one each time"


@dataclass(frozen=True)
class Trial:
    """One request to one model."""

    request: Request
    model: str
    number: int  # of the request, from 1
    repeat: int  # from 1

    def prepared(self, *, stream: bool | None, fresh: bool) -> Request:
        """What is sent. `fresh`: it begins with a random number. Raises NotRepeatableError."""
        request = self.request.changed(model=self.model, stream=stream)
        return refreshed(request, secrets.token_hex(8)) if fresh else request

    @property
    def tags(self) -> dict[str, str]:
        """How its call is told apart in the records."""
        tags = {"request": str(self.number), "repeat": str(self.repeat)}
        return tags if self.request.replay_of is None else {**tags, "replay_of": self.request.replay_of}


def trials(requests: Sequence[Request], models: Sequence[str], repeat: int) -> list[Trial]:
    """All of them, in order."""
    made = []
    for again in range(repeat):
        for place, request in enumerate(requests):
            first = (place + again) % len(models)
            order = [*models[first:], *models[:first]]
            made += [Trial(request, model, place + 1, again + 1) for model in order]
    return made


def refreshed(request: Request, nonce: str) -> Request:
    """The prompt begins with `nonce`: what follows is in no cache. Tools, which come before, may be."""
    fields = request.fields()
    begin = _BEGINNINGS.get(request.api_format)
    if begin is not None:
        begin(fields, f"[{nonce}] ")
    return request.with_fields(fields)


def _begin_chat(fields: dict[str, Any], text: str) -> None:
    match fields.get("messages"):
        case [{"content": content} as first, *rest]:
            fields["messages"] = [{**first, "content": _begun(content, text)}, *rest]


def _begin_messages(fields: dict[str, Any], text: str) -> None:
    fields["system"] = _begun(fields.get("system"), text)


def _begin_responses(fields: dict[str, Any], text: str) -> None:
    fields["instructions"] = _begun(fields.get("instructions"), text)


def _begin_completions(fields: dict[str, Any], text: str) -> None:
    fields["prompt"] = _begun(fields.get("prompt"), text)


def _begun(content: Any, text: str) -> Any:
    """Content is text, parts of which some are text, or nothing."""
    if isinstance(content, list) and all(isinstance(part, Mapping) for part in content):
        return [{"type": "text", "text": text}, *content]
    return text + content if isinstance(content, str) else content or text


_BEGINNINGS: Mapping[str, Callable[[dict[str, Any], str], None]] = {
    ApiFormat.CHAT: _begin_chat,
    ApiFormat.MESSAGES: _begin_messages,
    ApiFormat.RESPONSES: _begin_responses,
    ApiFormat.COMPLETIONS: _begin_completions,
}
