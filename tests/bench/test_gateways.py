"""What could be wrong in bench/gateways.py unnoticed: what its client reads, and its arithmetic."""

import asyncio
import re

import pytest
from bars import lengths
from gateway_figures import CALL_CPU, MEMORY, Measure, figure, ratio, verdicts
from gateway_run import CALL, CALLS, Workload
from load import Target, is_right
from performance import filled
from processes import descendants, stat_of
from upstream import STAMP
from ways import DIRECT, LESSLLM, NGINX, TENSORZERO


def test_a_process_is_read_whatever_its_program_is_called():
    text = "41 (next (v2) S 1) R 7 41 41 0 -1 4194560 9 0 0 0 {} {} {} {} 20 0 1 0 99 0 0\n"
    stat = stat_of(text.format(10, 20, 300, 4000))
    assert (stat.parent, stat.cpu_ticks) == (7, 4330)


def test_a_tree_holds_children_of_children_and_nobody_else():
    assert descendants(5, {5: 1, 6: 5, 7: 6, 8: 1, 9: 8, 10: 5}) == [5, 6, 10, 7]


STAMPED = Workload("streams", 1, chunks=3).answer()
WRITTEN = [1000.25, 1000.5, 1000.75]


def stamped_answer():
    whole = b"".join(STAMPED.pieces)
    stamps = iter(WRITTEN)
    return re.sub(re.escape(STAMP), lambda _: b"@%017.6f" % next(stamps), whole)


def pieces(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


async def reply_to(reads):
    """Of a server that answers with these, each a write of its own."""
    ended = asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        for read in reads:
            writer.write(read)
            await asyncio.sleep(0)
        await reader.read()  # until the client leaves
        writer.close()
        await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        target = Target(server.sockets[0].getsockname()[1], b"GET / HTTP/1.1\r\n\r\n")
        reply = await asyncio.wait_for(target.call(), 10)
        target.close()
        await asyncio.wait_for(ended.wait(), 10)
        return reply


@pytest.mark.parametrize("size", [1, 7, 13, 64, 10_000])
async def test_a_stream_is_whole_with_all_its_stamps_however_it_is_cut(size):
    reply = await reply_to(pieces(stamped_answer(), size))
    assert [written for written, _ in reply.stamps] == WRITTEN
    assert is_right(reply, chunks=3)
    assert not is_right(reply, chunks=4)


@pytest.mark.parametrize("size", [1, 100, 10_000])
async def test_an_answer_in_one_piece_ends_where_its_length_says(size):
    (answer,) = Workload("calls", 1).answer().pieces
    assert is_right(await reply_to(pieces(answer, size)), chunks=0)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 No\r\ncontent-length: 11\r\n\r\nlorem ipsum",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    ],
)
async def test_what_the_upstream_did_not_answer_is_not_right(answer):
    assert not is_right(await reply_to([answer]), chunks=0)


def sample(number, way, workload=CALLS, **values):
    return {"round": number, "way": way, "workload": workload, **values}


CPU = [
    *(sample(number, LESSLLM, cpu_ms=value) for number, value in enumerate([1.0, 2.0, 30.0])),
    *(sample(number, NGINX, cpu_ms=value) for number, value in enumerate([0.5, 0.1, 10.0])),
    sample(1, TENSORZERO, cpu_ms=2.5),
    sample(1, DIRECT, cpu_ms=None),
]


def test_ratios_are_taken_within_a_round_and_then_the_median():
    found = ratio(CPU, LESSLLM, NGINX, CALL_CPU)
    assert (found.median, found.lowest, found.highest) == (3, 2, 20)


def test_what_is_added_is_taken_within_a_round_and_then_the_median():
    added = Measure("added", CALL, "latency_p50_ms", is_added=True)
    times = [(0, DIRECT, 1.0), (0, LESSLLM, 5.0), (1, DIRECT, 2.0), (1, LESSLLM, 3.0), (2, LESSLLM, 100.0)]
    samples = [sample(number, way, CALL, latency_p50_ms=value) for number, way, value in times]
    found = figure(samples, LESSLLM, added)
    assert (found.median, found.lowest, found.highest) == (2.5, 1, 4)
    assert figure(samples, DIRECT, added) is None


def test_a_target_is_met_missed_or_not_known():
    words = {
        (verdict.target.measure, verdict.target.times): verdict.is_met
        for verdict in verdicts([*CPU, sample(0, LESSLLM, MEMORY.workload, rss_mb=120.5, wrong=0)])
    }
    assert words[CALL_CPU, NGINX] is True
    assert words[CALL_CPU, TENSORZERO] is False
    assert words[MEMORY, None] is False
    assert words[Measure("lost", MEMORY.workload, "wrong"), None] is True
    assert sum(word is None for word in words.values()) == len(words) - 4


def test_a_page_is_filled_between_its_marks_only():
    page = "a\n<!-- x: begin -->\nold \\1\n<!-- x: end -->\nb\n"
    assert filled(page, "x", r"new \1") == page.replace("old", "new")
    with pytest.raises(ValueError, match="x: begin"):
        filled("nothing", "x", "new")


def test_bars_are_as_long_as_their_logarithms():
    assert lengths([0.1, 1.0, 10.0]) == pytest.approx([1 / 3, 2 / 3, 1])
