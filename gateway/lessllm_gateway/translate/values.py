"""JSON that nobody has checked, read without surprises: what is of another kind than expected is as none."""

from typing import Any

from lessllm_gateway.translate.translation import Json


def text(value: Any) -> str:
    """The string, or an empty one."""
    return value if isinstance(value, str) else ""


def fields(value: Any) -> Json:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[Json]:
    """The objects in the list, if it is one."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def count(value: Any) -> int | None:
    """The whole number that is not below zero, if it is one."""
    return value if type(value) is int and value >= 0 else None
