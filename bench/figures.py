"""Samples to figures: microseconds of CPU per call and per chunk, and how many times ours that is. Pure.

A figure is the median of the rounds. A ratio is the median of the rounds' ratios, each to ours in the same
round, so that a machine whose speed changes meanwhile changes neither much.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Literal

from measuring import Sample
from traffic import STREAM_CHUNKS

OURS = "ours"

Kind = Literal["chat", "stream"]
Round = dict[tuple[str, Kind, int], Sample]  # by contender, what was asked for and how many asked


@dataclass(frozen=True, slots=True)
class Figure:
    """One contender's CPU time for one thing."""

    per: Literal["call", "chunk"]
    concurrency: int
    contender: str
    median_us: float
    lowest_us: float
    highest_us: float
    times_ours: float
    calls_per_s: float | None  # as it went; of streams, the upstream's pauses decide that
    chunks_per_stream: float | None  # as they were read; below STREAM_CHUNKS some came together


def figures(rounds: list[Round]) -> Iterator[Figure]:
    """Of all that the rounds hold, in their order."""
    for figure_of in (_call, _chunk):
        for concurrency in dict.fromkeys(concurrency for _, _, concurrency in rounds[0]):
            for contender in dict.fromkeys(contender for contender, _, _ in rounds[0]):
                yield figure_of(contender, concurrency, rounds)


def _call(contender: str, concurrency: int, rounds: list[Round]) -> Figure:
    samples = [round_[contender, "chat", concurrency] for round_ in rounds]
    return Figure(
        "call",
        concurrency,
        contender,
        *_spread(contender, rounds, lambda name, round_: _call_us(round_[name, "chat", concurrency])),
        calls_per_s=median(sample.calls / sample.wall_s for sample in samples),
        chunks_per_stream=None,
    )


def _chunk(contender: str, concurrency: int, rounds: list[Round]) -> Figure:
    samples = [round_[contender, "stream", concurrency] for round_ in rounds]
    return Figure(
        "chunk",
        concurrency,
        contender,
        *_spread(contender, rounds, lambda name, round_: _chunk_us(name, concurrency, round_)),
        calls_per_s=None,
        chunks_per_stream=median(sample.chunks / sample.calls for sample in samples),
    )


def _spread(
    contender: str, rounds: list[Round], cost_us: Callable[[str, Round], float]
) -> tuple[float, float, float, float]:
    """Median, lowest, highest, and times ours."""
    costs_us = [cost_us(contender, round_) for round_ in rounds]
    times_ours = median(cost_us(contender, round_) / cost_us(OURS, round_) for round_ in rounds)
    return median(costs_us), min(costs_us), max(costs_us), times_ours


def _call_us(sample: Sample) -> float:
    return sample.cpu_s / sample.calls * 1e6


def _chunk_us(contender: str, concurrency: int, round_: Round) -> float:
    """What a stream costs above an answer in one piece."""
    stream, chat = (round_[contender, kind, concurrency] for kind in ("stream", "chat"))
    return (_call_us(stream) - _call_us(chat)) / STREAM_CHUNKS
