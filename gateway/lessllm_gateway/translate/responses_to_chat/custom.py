"""A custom tool, which takes text instead of JSON, as a function of one string.

OpenAI's chat completions have custom tools too, but hardly a provider that has nothing besides them.
"""

from lessllm_shared import tolerant_json

from lessllm_gateway.translate.translation import Json, Wanted
from lessllm_gateway.translate.values import fields, objects, text

_PARAMETERS = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}


def function(tool: Json, wanted: Wanted) -> Json:
    """The function that stands for the tool."""
    described = text(tool.get("description"))
    form = fields(tool.get("format"))
    if form.get("type") == "grammar":
        wanted.leave_out("tools.format")  # the model is told of it, and not held to it
        syntax, definition = text(form.get("syntax")), text(form.get("definition"))
        told = f"The input must be of this {syntax} grammar:\n{definition}"
        described = f"{described}\n\n{told}" if described else told
    known = {"description": described} if described else {}
    return {"name": tool["name"], **known, "parameters": _PARAMETERS}


def names(request: Json) -> frozenset[str]:
    """The names of a request's custom tools."""
    listed = objects(request.get("tools"))
    return frozenset(text(tool.get("name")) for tool in listed if tool.get("type") == "custom")


def arguments(said: str) -> str:
    """What is said to the tool, as the function's arguments."""
    return tolerant_json.dumps({"input": said})


def said(arguments: str) -> str:
    """What the arguments say to the tool; all of them, if they are not as they should be."""
    try:
        found = fields(tolerant_json.loads(arguments)).get("input")
    except ValueError:
        found = None
    return found if isinstance(found, str) else arguments
