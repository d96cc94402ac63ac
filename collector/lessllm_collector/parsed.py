"""The request's body that was parsed last: who reads it next need not parse it again."""

from typing import Any

from lessllm_shared.tolerant_json import loads


class Parsed:
    """`loads` for bodies that several read, one after the other. They may not change what they get."""

    def __init__(self) -> None:
        self._body: bytes | None = None
        self._value: Any = None

    def __call__(self, body: bytes) -> Any:
        """The value in `body`. Raises ValueError."""
        if body is not self._body:
            self._body, self._value = None, loads(body)
            self._body = body
        return self._value

    def forget(self) -> None:
        """It may be large."""
        self._body = self._value = None
