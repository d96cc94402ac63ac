"""Scopes that there are, with their latest calls: who may have to be predicted again. Bounded."""

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lessllm_collector.cache.calls import Call, Scope
from lessllm_collector.cache.index import NEVER

_MAX_SCOPES = 2_000
_MAX_RELATIVES = 8
_MAX_RECENT = 64  # calls of a scope
_MAX_POINTS = 100_000  # of all calls that are kept, about 100 B each


@dataclass(slots=True)
class Known:
    """A scope that had calls."""

    scope: Scope
    begun_ns: int = NEVER  # of its first call
    message_settings: Mapping[str, str] = field(default_factory=dict)  # of its latest one
    recent: deque[Call] = field(default_factory=deque)


class Scopes:
    """By key, those that were used last at the end."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self._points = 0

    def get(self, scope: Scope) -> Known:
        """The scope, from now on known."""
        known = self._known.get(scope.key)
        if known is None:
            known = self._known[scope.key] = Known(scope)
        self._known.move_to_end(scope.key)
        while len(self._known) > _MAX_SCOPES or (self._points > _MAX_POINTS and len(self._known) > 1):
            _, oldest = self._known.popitem(last=False)
            self._points -= sum(len(call.offsets) for call in oldest.recent)
        return known

    def keep(self, call: Call) -> None:
        """It is one of the latest."""
        recent = self.get(call.scope).recent
        recent.append(call)
        self._points += len(call.offsets)
        while len(recent) > _MAX_RECENT or (self._points > _MAX_POINTS and len(recent) > 1):
            self._points -= len(recent.popleft().offsets)

    def relatives(self, scope: Scope) -> Iterator[Scope]:
        """Scopes that differ from this one only in settings, the latest first."""
        left = _MAX_RELATIVES
        for known in reversed(self._known.values()):
            if known.scope.family == scope.family and known.scope.key != scope.key:
                yield known.scope
                left -= 1
                if not left:
                    return

    def all(self) -> list[Scope]:
        """Every one, those that were used last at the end."""
        return [known.scope for known in self._known.values()]
