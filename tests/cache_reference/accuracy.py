"""Calls with the reference's usage in, the predictor's figures out.

Calls become records, records rows, and rows are scored in the order in which calls end, as a collector gets
them, a batch at a time. The reference judges, also where an answer reports no cached tokens at all.
"""

from collections import Counter
from dataclasses import dataclass, field

from cache_reference.calls import Json
from cache_reference.cases import Answered, Place
from cache_reference.recorded import record
from lessllm_collector.cache import Predictor
from lessllm_collector.interpret import Prices, interpret

BATCH = 20
TOLERANCE = 0.05  # of the prompt
MAX_ERROR_POINTS, MIN_AS_PREDICTED = 2.0, 0.95  # what has to hold for each provider
BEFORE, RECALIBRATED, RATE = (
    "estimated_cached_tokens",
    "recalibrated_cached_tokens",
    "estimated_cache_hit_rate",
)
_PREDICTED = (BEFORE, RECALIBRATED, RATE, "cache_outcome", "cache_miss_reason")


@dataclass
class Figures:
    """Sums over calls; rates and errors are in points of hit rate, 0 to 100."""

    calls: int = 0
    rates: float = 0.0
    errors: float = 0.0
    recalibrated_errors: float = 0.0
    as_predicted: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            self.calls + other.calls,
            self.rates + other.rates,
            self.errors + other.errors,
            self.recalibrated_errors + other.recalibrated_errors,
            self.as_predicted + other.as_predicted,
            self.outcomes + other.outcomes,
        )

    def summary(self) -> Json:
        """Per call."""
        calls = max(1, self.calls)
        return {
            "calls": self.calls,
            "hit_rate_points": self.rates / calls,
            "error_points": self.errors / calls,
            "recalibrated_error_points": self.recalibrated_errors / calls,
            "as_predicted": self.as_predicted / calls,
            "outcomes": dict(self.outcomes.most_common()),
        }

    def on_target(self) -> bool:
        found = self.summary()
        errors = max(found["error_points"], found["recalibrated_error_points"])
        return bool(errors <= MAX_ERROR_POINTS and found["as_predicted"] >= MIN_AS_PREDICTED)


def scored(answered: list[Answered], place: Place) -> list[tuple[Answered, Json]]:
    """Each call with what a fresh predictor says of it in the end, in the order in which calls end."""
    predictor, prices = Predictor(), Prices({})
    arrived = sorted(answered, key=lambda each: each.call.end_s)
    predicted: dict[str, Json] = {}
    for begin in range(0, len(arrived), BATCH):
        batch = [
            interpret(record(each, place), gateway_id="g", sequence=at, prices=prices)
            for at, each in enumerate(arrived[begin : begin + BATCH], begin + 1)
        ]
        corrections = predictor.score(batch)
        predicted |= {row["request_id"]: {name: row[name] for name in _PREDICTED} for row in batch}
        for correction in corrections:
            predicted[correction.request_id] |= correction.columns
    return list(zip(arrived, predicted.values(), strict=True))


def figures(answered: list[Answered], place: Place) -> Figures:
    """How well the calls of a workload were predicted."""
    found = Figures()
    for each, row in scored(answered, place):
        if each.usage is None:
            continue
        prompt, cached = tokens(each.usage)
        recalibrated = row[RECALIBRATED] or 0
        rate = 100 * cached / prompt
        allowed = max(place.granularity, TOLERANCE * prompt)
        found += Figures(
            1,
            rate,
            abs(100 * (row[RATE] or 0) - rate),
            abs(100 * recalibrated / prompt - rate),
            int(row[BEFORE] is not None and abs(recalibrated - cached) <= allowed),
            Counter([row["cache_outcome"] or "none"]),
        )
    return found


def tokens(usage: Json) -> tuple[int, int]:
    """The prompt's tokens and those of them that were cached, as the reference counted them."""
    if "prompt_cache_hit_tokens" in usage:
        return usage["prompt_tokens"], usage["prompt_cache_hit_tokens"]
    if "input_tokens" in usage:
        read, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
        return usage["input_tokens"] + read + written, read
    return usage["prompt_tokens"], usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
