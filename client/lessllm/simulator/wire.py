"""JSON as the providers write it on the wire: compact, UTF-8, keys in the order given."""

import json
from typing import Any


def compact(value: Any) -> bytes:
    """One line of JSON. Lone surrogates, which a request may hold, are escaped."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
