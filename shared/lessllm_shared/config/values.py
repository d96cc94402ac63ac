"""The kinds of values in lessllm.yaml, and how they are written. A mistake is said without the value."""

import difflib
import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints

from lessllm_shared.sensitive.kinds import GROUPS, KINDS

SENSITIVE_POLICIES = ("off", "flag", "redact_record", "block")  # the stricter, the later
Seconds = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65535)]
HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]
Secret = Annotated[SecretStr, Field(min_length=1)]
UsdPerMtok = Annotated[float, Field(ge=0)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$", to_lower=True)]


def _hashed(value: object) -> object:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text, and not empty")
    return hashlib.sha256(value.strip().encode()).hexdigest()  # files with secrets end with a line break


HashedKey = Annotated[str, BeforeValidator(_hashed)]  # a key in the file, its SHA-256 in memory


def _with_zone(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


Moment = Annotated[
    datetime, AfterValidator(_with_zone)
]  # a date is its beginning; UTC where no zone is named


def _duration(value: object) -> object:
    if value is None or value == "forever" or isinstance(value, timedelta):
        return None if value == "forever" else value
    found = re.fullmatch(r"(\d{1,4})\s?([smhdw])", value) if isinstance(value, str) else None
    if found is None or not int(found[1]):
        raise ValueError("must be like 30d, 12h or 2w (also s and m), or forever")
    return timedelta(seconds=int(found[1]) * _UNITS_S[found[2]])


_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
Duration = Annotated[timedelta | None, BeforeValidator(_duration)]  # None: forever


def _one_of(names: Sequence[str]) -> Callable[[object], object]:
    def check(value: object) -> object:
        if value in names:
            return value
        close = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
        raise ValueError(f"did you mean {close[0]}?" if close else f"must be one of {', '.join(names)}")

    return check


def _not_no(value: object) -> object:
    """YAML reads an unquoted off as false."""
    return "off" if value is False else value


def _some(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise ValueError("must name at least one")
    return values


SensitivePolicy = Annotated[str, BeforeValidator(_one_of(SENSITIVE_POLICIES)), BeforeValidator(_not_no)]
_SensitiveKind = Annotated[str, BeforeValidator(_one_of((*GROUPS, *KINDS)))]
SensitiveKinds = Annotated[tuple[_SensitiveKind, ...], AfterValidator(_some)]


def _curve_key(value: SecretStr) -> SecretStr:
    key = value.get_secret_value().strip("'\"")  # env files of `docker run` and kubectl keep the quotes
    fives = [key[at : at + 5] for at in range(0, len(key), 5)]
    if len(key) != 40 or not set(key) <= set(_Z85) or not all(_number(five) < 2**32 for five in fives):
        raise ValueError("must be a key of 40 characters as `lessllm keys` makes them")
    return SecretStr(key)


def _number(digits: str) -> int:
    return sum(_Z85.index(digit) * 85**place for place, digit in enumerate(reversed(digits)))


# ZeroMQ's RFC 32
_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
CurveKey = Annotated[SecretStr, AfterValidator(_curve_key)]
