"""Which time a page shows: the URL's parameters in, two moments and the step of a time axis out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lessllm_collector.errors import Refusal
from lessllm_collector.filters import moment

PRESETS: Mapping[str, timedelta] = {
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
CUSTOM = "custom"
_MOST_STEPS = 60
_STEPS = (
    *(timedelta(seconds=one) for one in (1, 5, 15, 30)),
    *(timedelta(minutes=one) for one in (1, 5, 15, 30)),
    *(timedelta(hours=one) for one in (1, 3, 6, 12)),
    *(timedelta(days=one) for one in (1, 7, 30, 90, 365)),
)


@dataclass(frozen=True)
class Period:
    """From `since` (inclusive) to `until` (exclusive), in UTC."""

    name: str  # of PRESETS, or CUSTOM
    since: datetime
    until: datetime

    @property
    def before(self) -> "Period":
        """As long, and just before."""
        return Period(CUSTOM, self.since - (self.until - self.since), self.since)

    @property
    def step(self) -> timedelta:
        """Of a time axis."""
        length = self.until - self.since
        return next((step for step in _STEPS if length / step <= _MOST_STEPS), length)

    @property
    def times(self) -> list[datetime]:
        """At which steps begin. The last one may end after the period does."""
        number = -((self.since - self.until) // self.step)
        return [self.since + place * self.step for place in range(number)]

    @property
    def parameters(self) -> dict[str, str]:
        """What a URL says to mean this period."""
        if self.name != CUSTOM:
            return {"period": self.name}
        return {"from": _minute(self.since), "to": _minute(self.until)}


def chosen(parameters: Mapping[str, str], now: datetime, default: str = "7d") -> Period:
    """`period=24h`, or `from` and `to` as ISO times. Raises Refusal."""
    texts = [parameters.get(name, "") for name in ("from", "to")]
    name = parameters.get("period", "") or (CUSTOM if any(texts) else default)
    if name in PRESETS:
        return Period(name, now - PRESETS[name], now)
    if name != CUSTOM:
        raise Refusal(400, "invalid_period", f"period: {name!r} is none of {', '.join((*PRESETS, CUSTOM))}")
    since, until = moment("from", texts[0]), moment("to", texts[1]) if texts[1] else now
    if since >= until:
        raise Refusal(400, "invalid_period", "from: must be before to")
    return Period(CUSTOM, since.astimezone(UTC), until.astimezone(UTC))


def _minute(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M")
