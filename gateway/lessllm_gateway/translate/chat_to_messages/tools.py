"""Tools and the choice among them, and the schema that an answer is to have."""

from typing import Any

from lessllm_gateway.translate.chat_to_messages.models import Model
from lessllm_gateway.translate.chat_to_messages.parts import invalid, mark
from lessllm_gateway.translate.chat_to_messages.schema import UnconstrainableError, constrained
from lessllm_gateway.translate.translation import Json, Wanted
from lessllm_gateway.translate.values import fields, objects, text

DEFAULT_ANSWER_TOOL = "answer"
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
_FORCED = {"any", "tool"}


class Tools:
    """What of a request goes by tools. `answer_tool` stands for `response_format`, where it must be one."""

    def __init__(self, chat: Json, model: Model, wanted: Wanted) -> None:
        self._model = model
        self._wanted = wanted
        self.tools = self._tools(chat.get("tools"))
        self.choice: Json = self._choice(chat.get("tool_choice"))
        self.format: Json = {}
        self.answer_tool: str | None = None
        self._answer_format(chat.get("response_format"))
        self._one_at_a_time = chat.get("parallel_tool_calls") is False

    @property
    def is_forced(self) -> bool:
        """The model must call a tool, so that it can't think before with a budget."""
        return self.choice.get("type") in _FORCED

    def fields(self, turns: list[Json]) -> Json:
        """The fields of the messages request."""
        if not self.tools:
            # With calls in its history, Anthropic wants their tools: here for nothing but that.
            called = _called(turns)
            none = {"tools": called, "tool_choice": {"type": "none"}}
            return none if called else {}
        choice = dict(self.choice)
        if self._one_at_a_time and choice.get("type") != "none":
            choice = {"type": "auto", **choice, "disable_parallel_tool_use": True}
        return {"tools": self.tools, **({"tool_choice": choice} if choice else {})}

    def _tools(self, given: Any) -> list[Json]:
        if given is None:
            return []
        if not isinstance(given, list):
            raise invalid("tools", "must be a list")
        tools = (self._tool(tool, f"tools[{index}]") for index, tool in enumerate(given))
        return [tool for tool in tools if tool]

    def _tool(self, tool: Any, where: str) -> Json | None:
        function = fields(tool).get("function")
        if not isinstance(function, dict):
            self._wanted.drop("tools", f"{where} is no function, the one kind that can be translated")
            return None
        parameters = function.get("parameters")
        if not isinstance(parameters, dict | None):
            raise invalid(f"{where}.function.parameters", "must be an object")
        schema = parameters or {"properties": {}}
        strict: Json = {}
        if function.get("strict") is True:
            schema, strict = self._strict(schema, where)
        if not schema.get("type"):
            schema = {**schema, "type": "object"}  # Anthropic wants it said
        described = {"description": function["description"]} if function.get("description") else {}
        marks = mark(tool) or mark(function)
        return {"name": text(function.get("name")), **described, "input_schema": schema, **strict, **marks}

    def _strict(self, schema: Json, where: str) -> tuple[Json, Json]:
        why = f"{self._wanted.model} can't be held to a schema"
        if self._model.constrains:
            try:
                return constrained({"type": "object", **schema}), {"strict": True}
            except UnconstrainableError as error:
                why = f"{where}: Anthropic can't hold a model to {error}"
        self._wanted.drop("tools.function.strict", why)
        return schema, {}

    def _choice(self, given: Any) -> Json:
        if given is None:
            return {}
        choice: Json = {}
        named = text(fields(fields(given).get("function")).get("name"))
        allowed = fields(fields(given).get("allowed_tools"))
        if isinstance(given, str) and given in _CHOICES:
            choice = {"type": _CHOICES[given]}
        elif named:
            choice = {"type": "tool", "name": named}
        elif allowed:
            names = [text(fields(tool.get("function")).get("name")) for tool in objects(allowed.get("tools"))]
            self.tools = [tool for tool in self.tools if tool["name"] in names]
            choice = {"type": "any" if allowed.get("mode") == "required" else "auto"}
        else:
            self._wanted.drop("tool_choice", "names no function")
        if not self.tools and choice.get("type") in _FORCED:
            raise invalid("tool_choice", "there are no tools to choose from")
        if choice.get("type") in _FORCED and not self._model.forced_tools:
            self._wanted.drop("tool_choice", f"{self._wanted.model} can't be made to call a tool")
            return {}
        return choice

    def _answer_format(self, given: Any) -> None:
        kind = fields(given).get("type")
        if given is None or kind == "text":
            return
        if kind != "json_schema":
            self._wanted.drop(
                "response_format", "none but json_schema has a counterpart in Anthropic messages"
            )
            return
        wanted = fields(fields(given).get("json_schema"))
        schema, why = wanted.get("schema"), f"{self._wanted.model} can't be held to a schema"
        if self._model.constrains:
            try:
                self.format = {"type": "json_schema", "schema": constrained(schema)}
                return
            except UnconstrainableError as error:
                why = f"Anthropic can't hold a model to {error}"
        if not self._model.forced_tools:
            self._wanted.drop("response_format", why)
            return
        self._add_answer_tool(text(wanted.get("name")) or DEFAULT_ANSWER_TOOL, wanted)

    def _add_answer_tool(self, name: str, wanted: Json) -> None:
        """A tool that must be called, since the model can't be held to a schema otherwise."""
        names = {tool["name"] for tool in self.tools}
        while name in names:
            name += "_"
        description = text(wanted.get("description")) or "Gives the answer, in the form that was asked for."
        schema = {**fields(wanted.get("schema")), "type": "object"}
        may_call_others = bool(self.tools) and self.choice.get("type") != "none"
        self.tools.append({"name": name, "description": description, "input_schema": schema})
        if self.choice.get("type") != "tool":
            self.choice = {"type": "any"} if may_call_others else {"type": "tool", "name": name}
        self.answer_tool = name


def _called(turns: list[Json]) -> list[Json]:
    names = dict.fromkeys(
        block["name"] for turn in turns for block in turn["content"] if block["type"] == "tool_use"
    )
    return [{"name": name, "input_schema": {"type": "object"}} for name in names]
