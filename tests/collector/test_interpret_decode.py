"""Content-encodings, whole and in pieces, right and broken."""

import gzip
import tracemalloc
import zlib

import brotli
import pytest
import zstandard
from lessllm_collector.interpret import decode as decoding
from lessllm_collector.interpret.decode import Decoder, decode

PLAIN = b'{"answer": "' + b"pack my box " * 2000 + b'"}'


def _raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


ENCODED = {
    "gzip": ("gzip", gzip.compress(PLAIN)),
    "gzip of two members": ("x-gzip", gzip.compress(PLAIN[:99]) + gzip.compress(PLAIN[99:])),
    "deflate": ("deflate", zlib.compress(PLAIN)),
    "raw deflate": ("Deflate", _raw_deflate(PLAIN)),
    "brotli": ("br", brotli.compress(PLAIN)),
    "zstd": ("zstd", zstandard.compress(PLAIN)),
    "chained": ("gzip, br", brotli.compress(gzip.compress(PLAIN))),
    "identity": ("identity", PLAIN),
    "none": ("", PLAIN),
}


@pytest.mark.parametrize("case", ENCODED)
def test_each_encoding_is_undone(case):
    encoding, body = ENCODED[case]
    assert decode(body, encoding) == (PLAIN, False)


@pytest.mark.parametrize("case", ENCODED)
def test_reads_of_any_size_give_the_same(case):
    encoding, body = ENCODED[case]
    decoder = Decoder(encoding)
    assert b"".join(decoder.feed(body[i : i + 1]) for i in range(len(body))) == PLAIN


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_a_cut_body_gives_what_came_and_says_so(encoding):
    body = next(body for name, body in ENCODED.values() if name == encoding)
    plain, damaged = decode(body[: len(body) // 2], encoding)
    assert damaged
    assert PLAIN.startswith(plain)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, zstd"])
def test_garbage_is_damaged_and_does_not_raise(encoding):
    assert decode(b"\xff\x00 no such thing \x99" * 5, encoding)[1]


def test_an_unknown_encoding_is_left_as_it_is():
    assert decode(b"abc", "snappy") == (b"abc", True)


@pytest.mark.parametrize("case", ["gzip", "deflate", "brotli", "zstd"])
def test_output_is_bounded(case, monkeypatch):
    monkeypatch.setattr(decoding, "MAX_OUTPUT_BYTES", 1000)
    encoding, body = ENCODED[case]
    assert decode(body, encoding) == (PLAIN[:1000], True)


PACKERS = {
    "gzip": gzip.compress,
    "br": lambda data: brotli.compress(data, quality=1),
    "zstd": zstandard.compress,
}


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, gzip", "gzip, br", "br, br, gzip", "zstd, gzip"])
def test_a_bomb_fills_no_memory(encoding, monkeypatch):
    """64 MB of zeros: what is over the bound is never made, by no stage."""
    monkeypatch.setattr(decoding, "MAX_OUTPUT_BYTES", 1_000_000)
    bomb = bytes(64_000_000)
    for name in encoding.split(", "):
        bomb = PACKERS[name](bomb)
    tracemalloc.start()
    plain, damaged = decode(bomb, encoding)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(plain), damaged) == (1_000_000, True)
    assert peak_bytes < 48_000_000  # one step of zstd makes 32 MB


def test_what_a_stage_makes_is_bounded_even_if_the_next_makes_nothing_of_it(monkeypatch):
    monkeypatch.setattr(decoding, "MAX_OUTPUT_BYTES", 1_000_000)
    skipped = b"\x50\x2a\x4d\x18" + (60_000).to_bytes(4, "little") + bytes(60_000)  # a frame that zstd skips
    decoder = Decoder("zstd, gzip")
    assert decoder.feed(gzip.compress(skipped * 100)) == b""
    assert decoder.damaged


def test_more_encodings_than_anybody_uses_are_not_undone():
    assert decode(b"abc", ", ".join(["zstd"] * 10_000)) == (b"abc", True)
