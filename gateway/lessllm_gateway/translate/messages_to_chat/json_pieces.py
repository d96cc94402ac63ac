"""Where a JSON object begins and ends that comes in pieces."""

import re

_MARK = re.compile(r'\\.|\\$|["{}\[\]]', re.DOTALL)


class JsonPieces:
    """Follows one object, at a cost that grows with its length only."""

    def __init__(self) -> None:
        self.is_whole = False
        self._before: list[str] = []  # what came instead of an object, so far
        self._depth = 0
        self._in_string = False
        self._is_escaped = False  # the first character of the next piece

    def take(self, piece: str) -> str:
        """The part of the piece that belongs to the object: all of it, between its first and last bracket."""
        if self.is_whole:
            return ""
        if self._depth == 0:
            before, bracket, rest = piece.partition("{")
            self._before.append(before)
            piece = bracket + rest
        start = 1 if self._is_escaped and piece else 0
        self._is_escaped = self._is_escaped and not piece
        for match in _MARK.finditer(piece, start):
            mark = match[0]
            if mark == "\\":
                self._is_escaped = self._in_string
            elif mark == '"':
                self._in_string = not self._in_string
            elif self._in_string or mark[0] == "\\":
                continue
            elif mark in "{[":
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth <= 0:
                    self.is_whole = True
                    return piece[: match.end()]
        return piece

    def instead(self) -> str:
        """What came where an object should have: "" for nothing, or for one."""
        written = "".join(self._before).strip()
        return "" if self._depth or self.is_whole or written == "null" else written
