"""Merging the deltas of OpenAI-style chunks, whatever fields they have.

Strings grow, but for names and ids, which some providers repeat in every chunk; objects are merged;
entries of lists are matched by their `index`, without one appended; anything else is replaced; null
changes nothing. Text is kept in pieces until `merged`, so that a long answer costs no more than its length.
"""

from typing import Any

_MAX_DEPTH = 8  # deltas nest four deep; what nests deeper is replaced, not merged
_FIXED = frozenset({"id", "call_id", "type", "role", "name", "format", "status", "object"})


class _Text(list[str]):
    """The pieces of a string."""


class Entries(list[Any]):
    """A list whose entries are merged by `index`."""

    def __init__(self) -> None:
        super().__init__()
        self._by_index: dict[int, dict[str, Any]] = {}

    def take(self, entries: list[Any], depth: int = 0) -> None:
        """Merge or append each entry."""
        for entry in entries:
            index = entry.get("index") if isinstance(entry, dict) else None
            if type(index) is not int:
                self.append(entry)
                continue
            known = self._by_index.get(index)
            # Another id under the same index is another entry: some providers number all calls 0.
            if known is None or (entry.get("id") and known.get("id") and entry["id"] != known["id"]):
                known = self._by_index[index] = {}
                self.append(known)
            merge(known, entry, depth + 1)


def merge(into: dict[str, Any], delta: dict[str, Any], depth: int = 0) -> None:
    """Take `delta` into what came before; parts of it are kept. Read the result with `merged`."""
    if depth > _MAX_DEPTH:
        into.update(delta)
        return
    for key, value in delta.items():
        known = into.get(key)
        if isinstance(value, str):
            into[key] = value if known is None else _grown(key, known, value)
        elif isinstance(value, dict):
            if not isinstance(known, dict):
                known = into[key] = {}
            merge(known, value, depth + 1)
        elif isinstance(value, list):
            if not isinstance(known, Entries):
                known = into[key] = _entries_after(known)
            known.take(value, depth)
        elif value is not None or key not in into:
            into[key] = value


def _grown(key: str, known: Any, value: str) -> Any:
    if key in _FIXED:
        return value or known
    if isinstance(known, str):
        return _Text((known, value)) if known and value else known or value
    if isinstance(known, _Text):
        known.append(value)
        return known
    if isinstance(known, Entries):  # Mistral: content is a list while the model thinks, then text
        if value:
            known.append({"type": "text", "text": value})
        return known
    return value


def _entries_after(known: Any) -> Entries:
    entries = Entries()
    if text := merged(known) if isinstance(known, str | _Text) else None:
        entries.append({"type": "text", "text": text})
    return entries


def merged(value: Any, depth: int = 0) -> Any:
    """What `merge` has gathered, as plain JSON: a copy, entries in the order of their index."""
    if isinstance(value, _Text):
        return "".join(value)
    if depth > _MAX_DEPTH:
        return value
    if isinstance(value, Entries):
        return [merged(entry, depth + 1) for entry in sorted(value, key=_position)]
    if isinstance(value, dict):
        return {key: merged(item, depth + 1) for key, item in value.items()}
    return value


def _position(entry: Any) -> float:
    index = entry.get("index") if isinstance(entry, dict) else None
    return index if isinstance(index, int) else float("inf")
