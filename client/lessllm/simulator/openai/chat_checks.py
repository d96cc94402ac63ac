"""What the chat API refuses though the form is right: fields that don't go together or with the model."""

from collections.abc import Sequence

from lessllm.simulator.cache import Block
from lessllm.simulator.models import Model
from lessllm.simulator.openai.requests import AssistantMessage, ChatRequest, ToolMessage
from lessllm.simulator.provider import ApiError
from lessllm.simulator.tokens import count_bytes


def check(body: ChatRequest, model: Model) -> None:
    """Raises ApiError."""
    if body.stream_options is not None and not body.stream:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise ApiError(400, message, param="stream_options")
    _check_format(body)
    _check_model(body, model)
    _check_tool_results(body)


def check_length(blocks: Sequence[Block], model: Model) -> None:
    """Raises ApiError if the prompt is longer than the model's context."""
    prompt_tokens = count_bytes(sum(len(block.content) for block in blocks))
    if prompt_tokens > model.entry.context_tokens:
        message = (
            f"This model's maximum context length is {model.entry.context_tokens} tokens. However, your "
            f"messages resulted in {prompt_tokens} tokens. Please reduce the length of the messages."
        )
        raise ApiError(400, message, param="messages", code="context_length_exceeded")


def _check_format(body: ChatRequest) -> None:
    form = body.response_format
    if form is None or form.type == "text":
        return
    if form.type == "json_schema" and form.json_schema is None:
        message = "Missing required parameter: 'response_format.json_schema'."
        raise ApiError(400, message, param="response_format.json_schema", code="missing_required_parameter")
    texts = (part.text for m in body.messages for part in m.content or () if part.type == "text")
    if form.type == "json_object" and not any("json" in text.lower() for text in texts):
        message = (
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
            "'json_object'."
        )
        raise ApiError(400, message, param="messages")


def _check_model(body: ChatRequest, model: Model) -> None:
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise ApiError(400, message, code="invalid_parameter_combination")
    reasons = model.entry.reasoning_tokens > 0
    if reasons and body.max_tokens is not None:
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead."
        )
        raise ApiError(400, message, param="max_tokens", code="unsupported_parameter")
    if reasons and body.temperature not in {None, 1}:
        message = (
            f"Unsupported value: 'temperature' does not support {body.temperature} with this model. Only the "
            "default (1) value is supported."
        )
        raise ApiError(400, message, param="temperature", code="unsupported_value")
    limit = body.max_completion_tokens or body.max_tokens or 0
    if limit > model.entry.max_output_tokens:
        name = "max_tokens" if body.max_tokens else "max_completion_tokens"
        message = (
            f"{name} is too large: {limit}. This model supports at most {model.entry.max_output_tokens} "
            "completion tokens."
        )
        raise ApiError(400, message, param=name, code="invalid_value")
    options_are_known = model.cache is not None and model.cache.kind == "breakpoints"
    if body.prompt_cache_options is not None and not options_are_known:
        raise _unsupported("prompt_cache_options")
    if body.reasoning_effort is not None and not reasons:
        raise _unsupported("reasoning_effort")


def _unsupported(name: str) -> ApiError:
    message = f"Unsupported parameter: '{name}' is not supported with this model."
    return ApiError(400, message, param=name, code="unsupported_parameter")


def _check_tool_results(body: ChatRequest) -> None:
    """Every tool call is answered by the messages that follow, and nothing else is."""
    open_calls: list[str] = []
    for i, message in enumerate(body.messages):
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in open_calls:
                text = (
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message "
                    "with 'tool_calls'."
                )
                raise ApiError(400, text, param=f"messages.[{i}].role")
            open_calls.remove(message.tool_call_id)
            continue
        _check_none_open(open_calls)
        open_calls = []
        if isinstance(message, AssistantMessage):
            open_calls = [call.id for call in message.tool_calls or ()]
    _check_none_open(open_calls)


def _check_none_open(open_calls: list[str]) -> None:
    if open_calls:
        text = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. The following tool_call_ids did not have response messages: "
        )
        raise ApiError(400, text + ", ".join(open_calls), param="messages")
