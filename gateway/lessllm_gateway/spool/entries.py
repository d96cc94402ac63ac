"""Entries of a file that is only ever appended to: length, checksum, bytes.

A process that is killed while it writes leaves a torn last entry. What does not fit its checksum, and all
that comes after it, is not there.
"""

import struct
import zlib
from typing import BinaryIO

MAX_ENTRY_BYTES = 256 * 1024 * 1024  # as large as a frame may be: a longer length is none

_HEAD = struct.Struct("<II")
OVERHEAD_BYTES = _HEAD.size


def pack(data: bytes) -> bytes:
    """One entry."""
    return _HEAD.pack(len(data), zlib.crc32(data)) + data


def read(file: BinaryIO) -> bytes | None:
    """The next entry; None if there is no whole one. Raises OSError."""
    head = file.read(OVERHEAD_BYTES)
    if len(head) < OVERHEAD_BYTES:
        return None
    size, checksum = _HEAD.unpack(head)
    if size > MAX_ENTRY_BYTES:
        return None
    data = file.read(size)
    return data if len(data) == size and zlib.crc32(data) == checksum else None
