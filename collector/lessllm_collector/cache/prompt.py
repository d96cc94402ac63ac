"""A request in, its prompt out: segments in the order in which the model sees them; settings beside them.

The request is the one that the provider got (`upstream_request_body`, if the call was translated). Tools come
first, then the form of the answer, system messages, the conversation. Nothing in a body raises; what can't be
read is None.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from lessllm_shared.record import ApiFormat
from lessllm_shared.tolerant_json import loads

from lessllm_collector.cache.segments import Builder, Mark, Prompt, Segment, kind_of

__all__ = ["Mark", "Prompt", "Segment", "answer_segments", "read_prompt"]

_Request = dict[str, Any]
_encode = msgspec.json.Encoder().encode


def read_prompt(
    api_format: str | None, body: bytes | None, parse: Callable[[bytes], Any] = loads
) -> Prompt | None:
    """The prompt in a request's body. None: a format without prompts, or a body that can't be read."""
    read = _READERS.get(api_format or "")
    if read is None or not body:
        return None
    try:
        request = parse(body)
        return read(request, Builder()) if isinstance(request, dict) else None
    except (ValueError, RecursionError):  # nested too deeply to be encoded again
        return None


def answer_segments(answer: bytes | str | None) -> tuple[Segment, ...]:
    """A chat answer as the segments that it becomes when the client sends it back. Nothing if it is none."""
    try:
        message = loads(answer)["choices"][0]["message"] if answer else None
        builder = Builder()
        if isinstance(message, dict):
            _add_chat(builder, [{**message, "role": "assistant"}])
    except (ValueError, RecursionError, LookupError, TypeError):
        return ()
    return tuple(builder.segments)


def _chat(request: _Request, builder: Builder) -> Prompt:
    builder.add_all("tools", request.get("tools") or request.get("functions"), "tools")
    _add_format(builder, request.get("response_format"), "response_format")
    _add_chat(builder, request.get("messages"))
    return builder.prompt(_settings(request))


def _add_chat(builder: Builder, messages: Any) -> None:
    for index, message in enumerate(_objects(messages)):
        role = _role(message.get("role"))
        # What is null or empty is as if it were not there: SDKs send answers back with and without.
        head = {key: value for key, value in message.items() if key not in _CONTENT and value}
        reasoning = message.get("reasoning_content")
        builder.add_message(
            *(role, head, f"messages[{index}]"),
            ("reasoning_content", {"type": "thinking", "thinking": reasoning} if reasoning else None),
            ("content", message.get("content") or None),
            ("tool_calls", message.get("tool_calls") or None),
        )


def _responses(request: _Request, builder: Builder) -> Prompt:
    builder.add_all("tools", request.get("tools"), "tools")
    text = request.get("text")
    _add_format(builder, text.get("format") if isinstance(text, dict) else None, "text.format")
    if request.get("instructions"):
        builder.add_message("system", {"role": "developer"}, "", ("instructions", request["instructions"]))
    items = request.get("input")
    if isinstance(items, str):
        builder.add_message("user", {"role": "user"}, "", ("input", items))
    for index, item in enumerate(_list(items)):
        path = f"input[{index}]"
        if isinstance(item, dict) and isinstance(item.get("role"), str):
            head = {
                key: value for key, value in item.items() if key not in ("content", "id", "status", "type")
            }
            builder.add_message(_role(item["role"]), head, path, ("content", item.get("content")))
        else:
            kind = _item_kind(item)
            builder.add(kind, item, path)
            builder.end_turn(kind)
    kept = any(request.get(key) for key in ("previous_response_id", "conversation", "prompt"))
    return builder.prompt(_settings(request), whole=not kept)


def _item_kind(item: Any) -> str:
    kind = kind_of(item, "")
    named = item.get("type") if isinstance(item, dict) else None
    if kind or not isinstance(named, str):
        return kind or "assistant"
    return (
        "tool_result" if named.endswith("_output") else "tool_use" if named.endswith("_call") else "assistant"
    )


def _messages(request: _Request, builder: Builder) -> Prompt:
    builder.add_all("tools", request.get("tools"), "tools")
    config = request.get("output_config")
    schema = config.get("format") if isinstance(config, dict) else request.get("output_format")
    _add_format(builder, schema, "output_config.format")
    if request.get("system"):
        builder.add_message("system", {"role": "system"}, "", ("system", request["system"]))
    for index, message in enumerate(_objects(request.get("messages"))):
        role = _role(message.get("role"))
        builder.add_message(role, {"role": role}, f"messages[{index}]", ("content", message.get("content")))
    return builder.prompt(_settings(request), automatic=request.get("cache_control"))


def _gemini(request: _Request, builder: Builder) -> Prompt:
    builder.add_all("tools", request.get("tools"), "tools")
    config = request.get("generationConfig")
    for name in ("responseSchema", "responseJsonSchema"):
        schema = config.get(name) if isinstance(config, dict) else None
        _add_format(builder, schema, f"generationConfig.{name}")
    system = request.get("systemInstruction") or request.get("system_instruction")
    if isinstance(system, dict):
        builder.add_message("system", {"role": "system"}, "systemInstruction", ("parts", system.get("parts")))
    for index, content in enumerate(_objects(request.get("contents"))):
        role = _role(content.get("role") or "user")
        builder.add_message(role, {"role": role}, f"contents[{index}]", ("parts", content.get("parts")))
    return builder.prompt(_settings(request), whole=not request.get("cachedContent"))


def _completions(request: _Request, builder: Builder) -> Prompt:
    prompt = request.get("prompt")
    several = isinstance(prompt, list) and len(prompt) > 1 and not isinstance(prompt[0], int)
    if prompt:
        builder.add_message("user", {}, "", ("prompt", _encode(prompt).decode() if several else prompt))
    return builder.prompt(_settings(request), whole=not several)


def _add_format(builder: Builder, value: Any, path: str) -> None:
    if isinstance(value, dict) and value.get("type") != "text":  # which is the default
        builder.add("format", value, path)


def _settings(request: _Request) -> Mapping[str, str]:
    found = {}
    for name, paths in _SETTINGS.items():
        for path in paths:
            value: Any = request
            for key in path:
                value = value.get(key) if isinstance(value, dict) else None
            if value is not None:
                found[name] = _encode(value).decode()
                break
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _objects(value: Any) -> list[_Request]:
    """The messages in a list; what is no message is one that says nothing."""
    return [item if isinstance(item, dict) else {} for item in _list(value)]


def _role(role: Any) -> str:
    return _ROLES.get(role, role) if isinstance(role, str) and role else "user"


_ROLES = {"developer": "system", "model": "assistant", "tool": "tool_result", "function": "tool_result"}
_CONTENT = frozenset(
    ("content", "tool_calls", "reasoning_content", "refusal", "annotations", "cache_control")
)
# By name, where each format has it.
_SETTINGS: dict[str, tuple[tuple[str, ...], ...]] = {
    "parallel_tool_calls": (("parallel_tool_calls",),),
    "reasoning_effort": (("reasoning_effort",), ("reasoning", "effort"), ("output_config", "effort")),
    "verbosity": (("verbosity",), ("text", "verbosity")),
    "tool_choice": (("tool_choice",), ("toolConfig",)),
    "thinking": (("thinking",), ("enable_thinking",), ("generationConfig", "thinkingConfig")),
    "service_tier": (("service_tier",),),
    "prompt_cache_key": (("prompt_cache_key",),),
    "prompt_cache_retention": (("prompt_cache_retention",),),
    "prompt_cache_mode": (("prompt_cache_options", "mode"),),
    "prompt_cache_ttl": (("prompt_cache_options", "ttl"),),
    "user_id": (("user_id",), ("metadata", "user_id")),
}
_READERS: Mapping[str, Callable[[_Request, Builder], Prompt]] = {
    ApiFormat.CHAT: _chat,
    ApiFormat.RESPONSES: _responses,
    ApiFormat.MESSAGES: _messages,
    ApiFormat.GEMINI: _gemini,
    ApiFormat.COMPLETIONS: _completions,
}
