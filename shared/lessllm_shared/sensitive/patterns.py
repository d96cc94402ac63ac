"""How tokens look, from kinds.toml: patterns, compiled."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lessllm_shared.sensitive.kinds import TABLE

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


# By what a token begins with, the longest first
STARTS: tuple[tuple[bytes, str, Regex], ...] = tuple(
    sorted(
        (
            (start.encode(), kind, _compiled(rule, rule["rest"]))
            for kind, rule in TABLE["secret"].items()
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
    for kind, rule in TABLE["after"].items()
)
