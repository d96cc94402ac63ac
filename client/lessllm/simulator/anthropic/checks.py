"""What the messages API refuses though the form is right."""

from collections.abc import Sequence

from lessllm.simulator.anthropic.requests import (
    MessagesRequest,
    PromptRequest,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from lessllm.simulator.cache import Block
from lessllm.simulator.models import Model
from lessllm.simulator.provider import ApiError
from lessllm.simulator.tokens import count_bytes


def check(body: MessagesRequest, model: Model) -> None:
    """Raises ApiError."""
    limit = model.entry.max_output_tokens
    if body.max_tokens > limit:
        raise ApiError(
            400,
            f"max_tokens: {body.max_tokens} > {limit}, which is the maximum allowed number of output tokens "
            f"for {body.model}",
        )
    thinking = body.thinking
    if thinking is not None and thinking.type == "enabled":
        if thinking.budget_tokens is None:
            raise ApiError(400, "thinking.enabled.budget_tokens: Field required")
        if thinking.budget_tokens >= body.max_tokens:
            raise ApiError(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")
        if body.temperature not in {None, 1}:
            raise ApiError(400, "`temperature` may only be set to 1 when thinking is enabled.")
    check_prompt(body)


def check_prompt(body: PromptRequest) -> None:
    """Raises ApiError."""
    for i, tool in enumerate(body.tools or ()):
        if tool.type in {None, "custom"} and tool.input_schema is None:
            raise ApiError(400, f"tools.{i}.custom.input_schema: Field required")
    last = len(body.messages) - 1
    for i, message in enumerate(body.messages):
        if not message.content and not (i == last and message.role == "assistant"):
            raise ApiError(
                400,
                f"messages.{i}: all messages must have non-empty content except for the optional final "
                "assistant message",
            )
        if any(isinstance(part, TextBlock) and not part.text for part in message.content):
            raise ApiError(400, "messages: text content blocks must be non-empty")
    _check_tool_results(body)


def check_length(blocks: Sequence[Block], model: Model) -> None:
    """Raises ApiError if the prompt is longer than the model's context."""
    prompt_tokens = count_bytes(sum(len(block.content) for block in blocks))
    if prompt_tokens > model.entry.context_tokens:
        raise ApiError(
            400, f"prompt is too long: {prompt_tokens} tokens > {model.entry.context_tokens} maximum"
        )


def _check_tool_results(body: PromptRequest) -> None:
    """Each tool_use has its tool_result in the next message, and each tool_result its tool_use before."""
    called: list[str] = []
    for i, message in enumerate(body.messages):
        results = [part for part in message.content if isinstance(part, ToolResultBlock)]
        for j, result in enumerate(results):
            if result.tool_use_id not in called:
                raise ApiError(
                    400,
                    f"messages.{i}.content.{j}: unexpected `tool_use_id` found in `tool_result` blocks: "
                    f"{result.tool_use_id}. Each `tool_result` block must have a corresponding `tool_use` "
                    "block in the previous message.",
                )
        missing = [identifier for identifier in called if identifier not in {r.tool_use_id for r in results}]
        if missing:
            raise _missing_results(i - 1, missing)
        called = [part.id for part in message.content if isinstance(part, ToolUseBlock)]
    if called:
        raise _missing_results(len(body.messages) - 1, called)


def _missing_results(i: int, identifiers: list[str]) -> ApiError:
    return ApiError(
        400,
        f"messages.{i}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(identifiers)}. Each `tool_use` block must have a corresponding `tool_result` block in "
        "the next message.",
    )
