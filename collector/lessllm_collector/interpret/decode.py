"""Undoing content-encodings, a read at a time: encoded bytes in, as much of the plain bytes as came.

gzip, deflate (with zlib's header or raw), br and zstd, also chained. Output is bounded, so that a small
body can't fill the memory. Never raises on a body: `damaged` says that the result is incomplete.
"""

import zlib
from typing import Any, Protocol

import brotli
import zstandard

MAX_OUTPUT_BYTES = 256 * 1024 * 1024
# Fed in slices, so that the bound is checked often: 1 KB of zstd is at most 256 blocks of 128 KB = 32 MB.
_SLICE_BYTES = 1024
_STEP_BYTES = 4 * 1024 * 1024  # what zlib and brotli may give at once
# brotli: the wheel's module has no type hints and calls its exception `error`.
_ERRORS: tuple[type[Exception], ...] = (zlib.error, zstandard.ZstdError, brotli.error, EOFError)


class _Stage(Protocol):
    done: bool  # the end of the encoded data was seen

    def feed(self, data: bytes) -> bytes: ...


class _Zlib:
    def __init__(self, wbits: int | None) -> None:
        self._wbits = wbits
        self._head = b""
        self._inflate: Any = None
        self.done = False

    def feed(self, data: bytes) -> bytes:
        data, self._head = self._head + data, b""
        if self._wbits is None:  # deflate: zlib's header is two bytes, method 8 and divisible by 31
            if len(data) < 2:
                self._head = data
                return b""
            zlib_header = data[0] & 15 == 8 and int.from_bytes(data[:2]) % 31 == 0
            self._wbits = zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS
        pieces = []
        while data:
            if self._inflate is None:
                self._inflate = zlib.decompressobj(self._wbits)
            self.done = False
            pieces.append(self._inflate.decompress(data, _STEP_BYTES))
            data = self._inflate.unconsumed_tail
            if self._inflate.eof:
                self.done = True
                # gzip may have several members; zero bytes after the last are padding
                data = self._inflate.unused_data.lstrip(b"\0") if self._wbits > zlib.MAX_WBITS else b""
                self._inflate = None if self._wbits > zlib.MAX_WBITS else self._inflate
        return b"".join(pieces)


class _Brotli:
    def __init__(self) -> None:
        self._decompressor: Any = brotli.Decompressor()
        self.done = False

    def feed(self, data: bytes) -> bytes:
        if self.done:
            return b""
        pieces = [self._decompressor.process(data, output_buffer_limit=_STEP_BYTES)]
        while not self._decompressor.can_accept_more_data():
            pieces.append(self._decompressor.process(b"", output_buffer_limit=_STEP_BYTES))
        self.done = bool(self._decompressor.is_finished())
        return b"".join(pieces)


class _Zstd:
    def __init__(self) -> None:
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self.done = False

    def feed(self, data: bytes) -> bytes:
        pieces = []
        while data:
            if self.done:  # another frame
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            pieces.append(self._frame.decompress(data))
            self.done = self._frame.eof
            data = self._frame.unused_data if self.done else b""
        return b"".join(pieces)


class Decoder:
    """Undoes the encodings that a content-encoding header names, last applied first."""

    def __init__(self, content_encoding: str) -> None:
        names = [name.strip().lower() for name in content_encoding.split(",")]
        names = [name for name in names if name not in ("", "identity")]
        self.encoded = bool(names)
        self.damaged = any(name not in _STAGES for name in names)
        self._unknown = self.damaged
        self._stages: list[_Stage] = [_STAGES[name]() for name in reversed(names) if name in _STAGES]
        self._output_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """What `data` adds. Nothing once the data was found damaged; as it is if not encoded."""
        if not self.encoded or self._unknown:
            return data
        pieces = []
        for start in range(0, len(data), _SLICE_BYTES):
            if self.damaged:
                break
            pieces.append(self._slice(data[start : start + _SLICE_BYTES]))
        return b"".join(pieces)

    def finish(self) -> None:
        """No more comes: unfinished data is damaged data."""
        self.damaged = self.damaged or (self.encoded and not all(stage.done for stage in self._stages))

    def _slice(self, data: bytes) -> bytes:
        for stage in self._stages:
            try:
                data = stage.feed(data)
            except _ERRORS:
                self.damaged = True
                return b""
        room = MAX_OUTPUT_BYTES - self._output_bytes
        self.damaged = self.damaged or len(data) > room
        self._output_bytes += len(data)
        return data[:room]


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
