"""The documented form of OpenAI's request bodies, after the API reference and the SDK's parameter types.

Typed are the fields that the simulator heeds or the API checks; `Any` means: known and ignored. What is
left out (audio, custom tools, log probabilities, the deprecated `functions`) is refused, never ignored.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from lessllm.simulator.provider import Open, Strict

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
ServiceTier = Literal["auto", "default", "flex", "scale", "priority", "fast"]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(ge=0, le=1)]


class CacheBreakpoint(Strict):
    mode: Literal["explicit"]
    ttl: Literal["30m", "12h"] | None = None


class CacheOptions(Strict):
    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m", "12h"] | None = None


class _Part(Open):
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class TextPart(_Part):
    type: Literal["text"]
    text: str


class ImagePart(_Part):
    type: Literal["image_url"]
    image_url: dict[str, Any]


class RefusalPart(_Part):
    type: Literal["refusal"]
    refusal: str


class OtherPart(_Part):
    type: Literal["input_audio", "file"]


def _as_parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def one_or_more(value: Any) -> Any:
    """A list, from one string or a list of them."""
    return [value] if isinstance(value, str) else value


Part = Annotated[TextPart | ImagePart | RefusalPart | OtherPart, Field(discriminator="type")]
Content = Annotated[list[Part], BeforeValidator(_as_parts)]


class FunctionCall(Strict):
    name: str
    arguments: str


class FunctionToolCall(Open):
    type: Literal["function"]
    id: str
    function: FunctionCall


class _Message(Open):
    name: str | None = None


class SystemMessage(_Message):
    role: Literal["system", "developer"]
    content: Content


class UserMessage(_Message):
    role: Literal["user"]
    content: Content


class AssistantMessage(_Message):
    role: Literal["assistant"]
    content: Content | None = None
    tool_calls: list[FunctionToolCall] | None = None
    refusal: str | None = None


class ToolMessage(_Message):
    role: Literal["tool"]
    content: Content
    tool_call_id: str


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class Function(Strict):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(Strict):
    type: Literal["function"]
    function: Function


class JsonSchema(Strict):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class ResponseFormat(Strict):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(Strict):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(Strict):
    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    stop: Annotated[list[str], Field(max_length=4), BeforeValidator(one_or_more)] | None = None
    seed: int | None = None
    logprobs: Literal[False] | None = None  # not simulated
    tools: Annotated[list[FunctionTool], Field(max_length=128)] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Effort | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    service_tier: ServiceTier | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: CacheOptions | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    logit_bias: Any = None
    modalities: list[Literal["text"]] | None = None
    prediction: Any = None
