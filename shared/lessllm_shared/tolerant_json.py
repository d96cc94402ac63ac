"""JSON as providers really send it: parsed fast when it is right, tolerantly when it is nearly so.

msgspec refuses NaN, numbers out of range, lone surrogates and invalid UTF-8; some providers send them.
What `loads` gives can always be encoded again: NaN and infinity become null, what is not Unicode U+FFFD.
"""

import json
import math
from typing import Any

import msgspec

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


def loads(data: bytes | str) -> Any:
    """The value in `data`. Raises ValueError, also for nesting beyond the interpreter's recursion limit."""
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError:
        return _loads_tolerantly(data if isinstance(data, str) else data.decode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def dumps(value: Any) -> str:
    """Compact JSON of what `loads` gave."""
    return _encoder.encode(value).decode()


def _loads_tolerantly(text: str) -> Any:
    try:
        return _encodable(json.loads(text))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _encodable(value: Any) -> Any:
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
