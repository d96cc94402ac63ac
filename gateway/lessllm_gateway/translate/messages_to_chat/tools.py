"""Tools and the choice among them: Anthropic's custom tools as functions.

Tools that Anthropic runs or knows by their type (web search, computer, bash, …) have no counterpart.
Names that OpenAI does not take (over 64 characters: agents prefix them) are shortened, and given back as
the client knows them.
"""

import hashlib
import re
from typing import Any

from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.translation import Json, Wanted
from lessllm_gateway.translate.values import fields, text

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


class ToolNames:
    """Each tool's name on both sides."""

    def __init__(self) -> None:
        self._shortened: dict[str, str] = {}

    def for_upstream(self, name: str) -> str:
        """The name as functions may have it."""
        if _NAME.fullmatch(name):
            return name
        digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
        short = f"{_NOT_IN_NAMES.sub('_', name)[:55]}_{digest}"
        self._shortened[short] = name
        return short

    def for_client(self, name: str) -> str:
        """The name as the client gave it."""
        return self._shortened.get(name, name)


def tool_fields(request: Json, wanted: Wanted, names: ToolNames) -> Json:
    """`tools`, `tool_choice` and `parallel_tool_calls`. Raises Rejection."""
    given = request.get("tools") or []
    if not isinstance(given, list):
        raise Rejection(400, "invalid_request", "tools: must be a list")
    tools = [tool for i, item in enumerate(given) if (tool := _tool(item, f"tools[{i}]", wanted, names))]
    choice = fields(request.get("tool_choice"))
    if not tools:  # OpenAI takes the other two only beside tools
        if text(choice.get("type")) in {"any", "tool"}:
            wanted.drop("tool_choice", "asks for a tool, and there is none that the provider could call")
        return {}
    result: Json = {"tools": tools}
    known = [tool["function"]["name"] for tool in tools]
    if (chosen := _choice(choice, known, wanted, names)) is not None:
        result["tool_choice"] = chosen
    if choice.get("disable_parallel_tool_use") is True:
        result["parallel_tool_calls"] = False
    return result


def _choice(choice: Json, known: list[str], wanted: Wanted, names: ToolNames) -> Any:
    kind = text(choice.get("type"))
    if kind == "tool":
        name = names.for_upstream(text(choice.get("name")))
        if name in known:
            return {"type": "function", "function": {"name": name}}
        wanted.drop("tool_choice", "names a tool that the provider does not get")
        return None
    if not kind or kind in _CHOICES:
        return _CHOICES.get(kind)
    raise Rejection(400, "invalid_request", "tool_choice.type: must be auto, any, tool or none")


def _tool(item: Any, where: str, wanted: Wanted, names: ToolNames) -> Json | None:
    tool = fields(item)
    kind = tool.get("type") or "custom"
    if kind != "custom":
        wanted.drop(
            f"tools.{text(kind)}", f"{where} is a tool of Anthropic's own, and no other provider has it"
        )
        return None
    name, schema = text(tool.get("name")), tool.get("input_schema")
    if not name or not isinstance(schema, dict):
        raise Rejection(400, "invalid_request", f"{where}: must have a name, and an object as input_schema")
    callers = tool.get("allowed_callers")
    if isinstance(callers, list) and callers and "direct" not in callers:
        wanted.drop("tools.allowed_callers", f"{where} can only be called by the model itself")
    if tool.get("input_examples"):
        wanted.leave_out("tools.input_examples")
    function: Json = {"name": names.for_upstream(name)}
    if description := text(tool.get("description")):
        function["description"] = description
    function["parameters"] = _parameters(schema)
    if tool.get("strict") is True and takes_strict(schema):
        function["strict"] = True
    return {"type": "function", "function": function}


def _parameters(schema: Json) -> Json:
    """OpenAI refuses an object's schema without properties."""
    parameters = {"type": "object", **schema}
    if not isinstance(parameters.get("properties"), dict):
        parameters["properties"] = {}
    return parameters


def takes_strict(schema: Any) -> bool:
    """Whether OpenAI takes a schema as strict: all properties of all its objects are required, and no more.

    Anthropic's strict allows optional ones: such a schema goes without `strict`, as a wish.
    """
    if isinstance(schema, list):
        return all(takes_strict(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        properties, required = fields(schema.get("properties")), schema.get("required") or []
        if schema.get("additionalProperties") is not False or not isinstance(required, list):
            return False
        if any(name not in required for name in properties):
            return False
        return all(takes_strict(item) for item in properties.values()) and all(
            takes_strict(item) for key, item in schema.items() if key != "properties"
        )
    return all(takes_strict(item) for item in schema.values())
