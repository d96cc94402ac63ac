"""What a user's SQL may name: functions and types of allowed_functions.toml, compared as DuckDB does.

A node of DuckDB's parse tree enters; nothing leaves, or a Refusal that names the nearest allowed one.
"""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.resources import files
from typing import Any

from lessllm_collector.errors import Refusal

MAX_SHORT_ARGUMENT = 100  # characters

_lists = tomllib.loads((files(__package__) / "allowed_functions.toml").read_text("utf-8"))
_short_argument: Mapping[str, int] = _lists.pop("short_argument")

TYPES = frozenset(_lists.pop("types"))
TABLE_FUNCTIONS = frozenset(_lists.pop("tables"))
FUNCTIONS = frozenset(name for names in _lists.values() for name in names)


def check_function(node: Mapping[str, Any]) -> None:
    """A function in an expression. Raises Refusal."""
    _check_name(node, FUNCTIONS, "")
    name = folded(node["function_name"])
    position = _short_argument.get(name)
    if position is None or position >= len(node["children"]):
        return
    argument = node["children"][position]
    if argument["class"] != "CONSTANT" or len(str(argument["value"].get("value"))) > MAX_SHORT_ARGUMENT:
        raise Refusal(
            400,
            "function_not_allowed",
            f"argument {position + 1} of {name}() must be a text of at most {MAX_SHORT_ARGUMENT} characters,"
            " written out in the statement",
        )


def check_table_function(node: Mapping[str, Any]) -> None:
    """A function that stands for a table. Raises Refusal."""
    _check_name(node, TABLE_FUNCTIONS, " as a table")


def check_type(node: Mapping[str, Any]) -> None:
    """The type of a cast or a constant. Raises Refusal."""
    info = node["type_info"] or {}
    if node["id"] == "UNBOUND":  # as written, looked up when it runs
        _check_written_type(info["expr"])
    elif node["id"] not in TYPES or info.get("alias"):
        raise _type_refusal(info.get("alias") or node["id"])


def folded(name: str) -> str:
    """As DuckDB compares names: ASCII letters only. lower() would also make a k of the Kelvin sign."""
    return name.encode().lower().decode()


def _check_written_type(node: Mapping[str, Any]) -> None:
    """Such as STRUCT(a INTEGER, b DECIMAL(3, 1)[])."""
    if node["class"] == "CONSTANT":
        return
    name = str(node.get("type_name"))
    if node["class"] != "TYPE" or node["schema"] or node["catalog"] or name.upper() not in TYPES:
        raise _type_refusal(name)
    for child in node["children"]:
        _check_written_type(child)


def _type_refusal(name: str) -> Refusal:
    return Refusal(400, "type_not_allowed", f"the type {name} is not allowed")


def _check_name(node: Mapping[str, Any], allowed: frozenset[str], where: str) -> None:
    name = folded(node["function_name"])
    own_schema = folded(node["schema"]) in ("", "main") and not node["catalog"]
    if own_schema and name in allowed:
        return
    parts = (node["catalog"], node["schema"], node["function_name"])
    near = get_close_matches(name, allowed, 1)
    hint = f"; did you mean {near[0]}()?" if near else ""
    raise Refusal(
        400, "function_not_allowed", f"{'.'.join(filter(None, parts))}() is not allowed{where}{hint}"
    )
