"""Tools and the choice among them: a request's, in the chat format.

Only what the client itself runs has a counterpart there: functions and, as such, custom tools. Tools that the
provider would run are refused, or left out.
"""

from typing import Any

from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.responses_to_chat import custom
from lessllm_gateway.translate.translation import Json, Wanted

_MODES = frozenset({"none", "auto", "required"})
_NOT_HERE = "is run by a provider that has the Responses API, and this call goes to one that has not"


def tools(request: Json, wanted: Wanted) -> Json:
    """The fields `tools`, `tool_choice` and `parallel_tool_calls`, as far as there are tools to use."""
    listed = request.get("tools") or []
    if not isinstance(listed, list) or not all(isinstance(tool, dict) for tool in listed):
        raise Rejection(400, "invalid_request", "tools: must be a list of objects")
    kept = [tool for index, tool in enumerate(listed) if _is_expressible(tool, f"tools[{index}]", wanted)]
    choice, kept = _choice(request.get("tool_choice"), kept, wanted)
    if not kept:  # chat takes neither choice nor parallel_tool_calls without tools
        return {}
    result: Json = {"tools": [_tool(tool, wanted) for tool in kept]}
    if choice is not None:
        result["tool_choice"] = choice
    if isinstance(parallel := request.get("parallel_tool_calls"), bool):
        result["parallel_tool_calls"] = parallel
    return result


def _is_expressible(tool: Json, where: str, wanted: Wanted) -> bool:
    kind = tool.get("type")
    if kind not in ("function", "custom"):
        wanted.drop(f"tools.{kind}", f"{where} {_NOT_HERE}")
        return False
    if not isinstance(tool.get("name"), str):
        raise Rejection(400, "invalid_request", f"{where}.name: must be a string")
    return True


def _tool(tool: Json, wanted: Wanted) -> Json:
    if tool["type"] == "custom":
        return {"type": "function", "function": custom.function(tool, wanted)}
    names = ("name", "description", "parameters", "strict")
    return {"type": "function", "function": {n: tool[n] for n in names if tool.get(n) is not None}}


def _choice(choice: Any, kept: list[Json], wanted: Wanted) -> tuple[Any, list[Json]]:
    """The choice, and the tools among which it is made."""
    if choice is None or (isinstance(choice, str) and choice in _MODES):
        return choice, kept
    if isinstance(choice, dict):
        kind, name = choice.get("type"), choice.get("name")
        if kind in ("function", "custom"):
            return {"type": "function", "function": {"name": name}}, kept
        # Few that have only chat know this choice, and giving them only these tools says the same.
        if kind == "allowed_tools" and isinstance(allowed := choice.get("tools"), list):
            names = [(tool.get("type"), tool.get("name")) for tool in allowed if isinstance(tool, dict)]
            return choice.get("mode"), [tool for tool in kept if (tool["type"], tool["name"]) in names]
        wanted.drop("tool_choice", f"{kind} {_NOT_HERE}")
        return None, kept
    raise Rejection(400, "invalid_request", "tool_choice: must be none, auto, required or an object")
