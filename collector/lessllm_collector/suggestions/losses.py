"""What a call lost to one cause, and the kinds of causes: the type that each detector is."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from lessllm_collector.suggestions.comparing import Comparison
from lessllm_collector.suggestions.traces import Trace


@dataclass(frozen=True, slots=True)
class Loss:
    """Of one call. Times the price of a fresh token, `worth` is USD: tokens · multipliers."""

    trace: Trace
    tokens: float  # affected
    worth: float  # negative: what the change would cost this call
    other: Trace | None  # the call that it is compared with
    cause: Hashable = ()  # losses of one cause make one suggestion
    path: str = ""  # where in the request
    what: str = ""  # a word about it, for people
    against: float = 0.0  # tokens that speak against the finding: if they are more, there is none

    @property
    def usd(self) -> float | None:
        """None: no price is known."""
        return self.trace.price.usd(self.worth)


Detector = Callable[[Comparison], Loss | None]
