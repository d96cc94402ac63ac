"""What a model takes of a messages request, read from models.toml once at import."""

import re
import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import Literal

import msgspec

# Of claude-opus-4-5-20251101, us.anthropic.claude-opus-4-5-20251101-v1:0, claude-opus-4-5@20251101,
# anthropic/claude-opus-4.5: platforms name one model differently.
_BEFORE_NAME = re.compile(r"^.*(?=claude-)")
_AFTER_NAME = re.compile(r"(?:[-@](?:\d{8}|latest|default|v\d)|\[).*$")


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields are explained in models.toml."""

    names: tuple[str, ...]
    thinking: Literal["adaptive", "budget", "none"]
    max_tokens: int = 128_000
    rest: Literal["disabled", "between_tools", ""] = "disabled"
    thinks_unasked: bool = False
    efforts: tuple[str, ...] = ()
    sampling: Literal["both", "one", "none"] = "both"
    forced_tools: bool = True
    constrains: bool = True
    late_system: bool = False


@lru_cache(1024)
def model_of(name: str) -> Model:
    """The model of that name, on whatever platform."""
    short = _AFTER_NAME.sub("", _BEFORE_NAME.sub("", name.lower())).replace(".", "-")
    return next(model for model in _MODELS if any(_fits(short, known) for known in model.names))


def _fits(name: str, known: str) -> bool:
    return name == known or name.startswith(f"{known}-" if known else "")


def _load() -> tuple[Model, ...]:
    data = tomllib.loads(files(__package__).joinpath("models.toml").read_text("utf-8"))
    return msgspec.convert(data["model"], tuple[Model, ...])


_MODELS = _load()
