"""`GET /v1/models`: the configured aliases, and what the endpoint's own provider lists beside them.

The provider is asked as for any call, with the same key; if it is away, refuses or there is no key for
it, the aliases alone are the answer: a list of models never fails because of an upstream. One alias is
described from the configuration. A client key that has a list of models sees no others. Where there is
nothing to add and nothing to leave out, bytes pass as they are. OpenAI's format, or Anthropic's for a client
that sends `anthropic-version`. Pure.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec
from lessllm_shared import tolerant_json
from lessllm_shared.config.sections import Key, Model

from lessllm_gateway.crossing import Crossing
from lessllm_gateway.errors import Dialect
from lessllm_gateway.request import Endpoint

_UNKNOWN_TIME = "1970-01-01T00:00:00Z"  # Anthropic documents the epoch for "not known"; OpenAI has no word


class Catalogue:
    """The configured aliases, as model lists show them."""

    def __init__(self, aliases: Mapping[str, Model]) -> None:
        self._aliases = aliases

    def described(self, endpoint: Endpoint) -> bytes | None:
        """The one alias that is asked for; None: not one of ours, ask the provider."""
        name = endpoint.described_model
        if name is None or name not in self._aliases:
            return None
        return msgspec.json.encode(_entry(name, self._aliases[name], endpoint.dialect))

    def lists(self, endpoint: Endpoint, key: Key | None) -> bool:
        """Whether the answer is the provider's list with ours before it, less what the key is not for."""
        return endpoint.lists_models and bool(self._aliases or (key and key.models))

    def alone(self, endpoint: Endpoint, key: Key | None) -> bytes:
        """The list without the provider's."""
        return self._listed(endpoint.dialect, key, b"{}", first_page=True)

    def crossing(self, endpoint: Endpoint, key: Key | None, query: str) -> Crossing:
        """What becomes of the provider's list."""
        pages = parse_qs(query)
        first_page = "after_id" not in pages and "before_id" not in pages
        return Crossing(
            body=b"",
            translated=True,
            whole=lambda body, _: self._listed(endpoint.dialect, key, body, first_page=first_page),
            error=lambda _status, _body: (200, self.alone(endpoint, key)),
        )

    def _listed(self, dialect: Dialect, key: Key | None, body: bytes, *, first_page: bool) -> bytes:
        try:
            upstream: Any = tolerant_json.loads(body)
        except ValueError:
            upstream = {}
        theirs = upstream.get("data") if isinstance(upstream, dict) else None
        if not isinstance(theirs, list):
            upstream, theirs = {}, []
        ours = [_entry(name, model, dialect) for name, model in self._aliases.items()] if first_page else []
        others = [m for m in theirs if not (isinstance(m, dict) and m.get("id") in self._aliases)]
        if key is not None and key.models:
            ours, others = ([m for m in part if _is_for(key, m)] for part in (ours, others))
        data = [*ours, *others]
        if dialect == "anthropic":
            ends = {
                "first_id": data[0]["id"] if ours else upstream.get("first_id"),
                "last_id": upstream.get("last_id") or (data[-1]["id"] if ours else None),
            }
            return msgspec.json.encode({"has_more": False, **upstream, "data": data, **ends})
        return msgspec.json.encode({"object": "list", **upstream, "data": data})


def _is_for(key: Key, entry: Any) -> bool:
    return isinstance(entry, dict) and key.is_for(str(entry.get("id")))


def _entry(name: str, model: Model, dialect: Dialect) -> dict[str, object]:
    if dialect == "anthropic":
        return {"type": "model", "id": name, "display_name": name, "created_at": _UNKNOWN_TIME}
    return {"id": name, "object": "model", "created": 0, "owned_by": model.provider}
