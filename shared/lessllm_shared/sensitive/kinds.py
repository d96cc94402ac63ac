"""The kinds of sensitive data, from kinds.toml: their names, in two groups, and how tokens look."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

Regex = re.Pattern[bytes]

_TOKEN_ENDS = rb"(?![A-Za-z0-9_-])"
_MIXED = rb"(?=[A-Za-z_/+.~-]{0,200}[0-9])(?=[0-9_/+.~-]{0,200}[A-Za-z])"


@dataclass(frozen=True)
class After:
    """A token known by what stands before it."""

    kind: str
    words: tuple[bytes, ...]
    before: Regex
    ends: bytes
    value: Regex
    is_random: bool


def _compiled(rule: Mapping[str, Any], pattern: str) -> Regex:
    return re.compile((_MIXED if rule.get("mixed") else b"") + b"(?:%b)" % pattern.encode() + _TOKEN_ENDS)


_TABLE: Mapping[str, Mapping[str, Any]] = tomllib.loads(
    files(__package__).joinpath("kinds.toml").read_text("utf-8")
)

SECRETS = tuple(dict.fromkeys(kind for group in ("secret", "after", "form") for kind in _TABLE[group]))
PERSONAL = tuple(_TABLE["personal"])
KINDS = (*SECRETS, *PERSONAL)
GROUPS: Mapping[str, tuple[str, ...]] = {"secrets": SECRETS, "personal": PERSONAL}

# By what a token begins with, the longest first
STARTS: tuple[tuple[bytes, str, Regex], ...] = tuple(
    sorted(
        (
            (start.encode(), kind, _compiled(rule, rule["rest"]))
            for kind, rule in _TABLE["secret"].items()
            for start in rule["starts"]
        ),
        key=lambda one: -len(one[0]),
    )
)
AFTER = tuple(
    After(
        kind,
        tuple(word.encode() for word in rule["words"]),
        re.compile(b"(?:%b)\\Z" % rule["before"].encode()),
        rule["ends"].encode(),
        _compiled(rule, rule["value"]),
        rule.get("random", False),
    )
    for kind, rule in _TABLE["after"].items()
)
