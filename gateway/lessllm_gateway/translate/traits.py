"""What a provider's chat completions take, by its `ChatTraits`: of a request, and of what was said before."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TypeVar

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")  # from least to most
NO_REASONING = " "  # where a provider misses an assistant's reasoning, and refuses an empty one
UNSIGNED = "skip_thought_signature_validator"  # Google's word for calls that its model did not make
_T = TypeVar("_T")


def by_model(facts: Mapping[str, _T], model: str | None) -> _T | None:
    """The fact whose pattern of model names is the first that fits."""
    return next((fact for pattern, fact in facts.items() if fnmatchcase(model or "", pattern)), None)


def fits(patterns: Iterable[str], model: str | None) -> bool:
    """Whether one of the patterns is the model's."""
    return any(fnmatchcase(model or "", pattern) for pattern in patterns)


def nearest_effort(asked: str, taken: tuple[str, ...]) -> str:
    """Of the efforts that a model takes, the most that is no more than what is asked, else the least."""
    limit = EFFORTS.index(asked)
    return next((name for name in reversed(taken) if EFFORTS.index(name) <= limit), taken[0])


def switch(name: str, *, on: bool) -> object:
    """The value of the field that turns thinking on and off."""
    return {"type": "enabled" if on else "disabled"} if name == "thinking" else on


def call_id(given: str, form: str) -> str:
    """A tool call's id of the form that the provider takes. What matters is that both its ends agree."""
    if re.fullmatch(form, given) is None:
        return hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()[:9]
    return given
