"""Undoing content-encodings, a read at a time: encoded bytes in, as much of the plain bytes as came.

gzip, deflate (with zlib's header or raw), br and zstd, also chained. What each stage makes is bounded and
made piece by piece, so that a small body can fill neither memory nor time. Never raises on a body: `damaged`
says that the result is incomplete.
"""

import zlib
from collections.abc import Iterator
from typing import Any, Protocol

import brotli
import zstandard

MAX_OUTPUT_BYTES = 256 * 1024 * 1024  # of each stage
MAX_STAGES = 3  # each has a window of its own: 128 MB for zstd
# Fed in slices, so that the bound is checked often: 1 KB of zstd is at most 256 blocks of 128 KB = 32 MB.
_SLICE_BYTES = 1024
_STEP_BYTES = 4 * 1024 * 1024  # what zlib and brotli may give at once


class _TooLargeError(Exception):
    """MAX_OUTPUT_BYTES are made."""


# brotli: the wheel's module has no type hints and calls its exception `error`.
_ERRORS: tuple[type[Exception], ...] = (
    *(zlib.error, zstandard.ZstdError, brotli.error, EOFError),
    _TooLargeError,
)


class _Stage(Protocol):
    done: bool  # the end of the encoded data was seen

    def feed(self, data: bytes) -> Iterator[bytes]: ...


class _Zlib:
    def __init__(self, wbits: int | None) -> None:
        self._wbits = wbits
        self._head = b""
        self._inflate: Any = None
        self.done = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        data, self._head = self._head + data, b""
        if self._wbits is None:  # deflate: zlib's header is two bytes, method 8 and divisible by 31
            if len(data) < 2:
                self._head = data
                return
            zlib_header = data[0] & 15 == 8 and int.from_bytes(data[:2]) % 31 == 0
            self._wbits = zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS
        while data:
            if self._inflate is None:
                self._inflate = zlib.decompressobj(self._wbits)
            self.done = False
            yield self._inflate.decompress(data, _STEP_BYTES)
            data = self._inflate.unconsumed_tail
            if self._inflate.eof:
                self.done = True
                # gzip may have several members; zero bytes after the last are padding
                data = self._inflate.unused_data.lstrip(b"\0") if self._wbits > zlib.MAX_WBITS else b""
                self._inflate = None if self._wbits > zlib.MAX_WBITS else self._inflate


class _Brotli:
    def __init__(self) -> None:
        self._decompressor: Any = brotli.Decompressor()
        self.done = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self.done:
            return
        yield self._decompressor.process(data, output_buffer_limit=_STEP_BYTES)
        while not self._decompressor.can_accept_more_data():
            yield self._decompressor.process(b"", output_buffer_limit=_STEP_BYTES)
        self.done = bool(self._decompressor.is_finished())


class _Zstd:
    def __init__(self) -> None:
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self.done = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self.done:  # another frame
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            yield self._frame.decompress(data)
            self.done = self._frame.eof
            data = self._frame.unused_data if self.done else b""


class Decoder:
    """Undoes the encodings that a content-encoding header names, last applied first."""

    def __init__(self, content_encoding: str) -> None:
        names = [name.strip().lower() for name in content_encoding.split(",")]
        names = [name for name in names if name not in ("", "identity")]
        self.encoded = bool(names)
        self.damaged = len(names) > MAX_STAGES or any(name not in _STAGES for name in names)
        self._unknown = self.damaged
        self._stages: list[_Stage] = [] if self._unknown else [_STAGES[name]() for name in reversed(names)]
        self._made_bytes = [0] * len(self._stages)

    def feed(self, data: bytes) -> bytes:
        """What `data` adds. Nothing once the data was found damaged; as it is if not encoded."""
        if not self.encoded or self._unknown:
            return data
        pieces = []
        if not self.damaged:
            try:
                for piece in self._undone(data, 0):
                    pieces.append(piece)  # noqa: PERF402 - those before an error are kept
            except _ERRORS:
                self.damaged = True
        return b"".join(pieces)

    def finish(self) -> None:
        """No more comes: unfinished data is damaged data."""
        self.damaged = self.damaged or (self.encoded and not all(stage.done for stage in self._stages))

    def _undone(self, data: bytes, number: int) -> Iterator[bytes]:
        """What the stages from this one on make of it."""
        if number == len(self._stages):
            yield data
            return
        for start in range(0, len(data), _SLICE_BYTES):
            for made in self._stages[number].feed(data[start : start + _SLICE_BYTES]):
                room = MAX_OUTPUT_BYTES - self._made_bytes[number]
                self._made_bytes[number] += len(made)
                yield from self._undone(made[:room], number + 1)
                if len(made) > room:
                    raise _TooLargeError


def decode(body: bytes, content_encoding: str) -> tuple[bytes, bool]:
    """The plain bytes of a whole body, and whether it is damaged: cut, corrupt, unknown or too large."""
    decoder = Decoder(content_encoding)
    plain = decoder.feed(body)
    decoder.finish()
    return plain, decoder.damaged


_STAGES: dict[str, Any] = {
    "gzip": lambda: _Zlib(zlib.MAX_WBITS + 16),
    "x-gzip": lambda: _Zlib(zlib.MAX_WBITS + 16),
    "deflate": lambda: _Zlib(None),
    "br": _Brotli,
    "zstd": _Zstd,
}
