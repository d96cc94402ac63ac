"""Why an answer ended, in Anthropic's words."""

from typing import Any

from lessllm_gateway.translate.translation import Json

_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
    "model_length": "model_context_window_exceeded",  # Mistral
}
# DeepSeek, OpenRouter: the answer is not whole, and no reason of Anthropic's says so.
FAILURES = frozenset(("insufficient_system_resource", "error"))


def stop_fields(choice: Json, *, has_calls: bool, refused: bool) -> Json:
    """`stop_reason`, `stop_sequence` and `stop_details`; `choice` is the one with the finish reason."""
    finish = choice.get("finish_reason")
    reason = _REASONS.get(finish, "end_turn") if isinstance(finish, str) else "end_turn"
    sequence = None
    if refused:
        reason = "refusal"
    elif reason == "end_turn":
        sequence = _matched(choice)
        if has_calls:  # Ollama, vLLM with a named tool and others say "stop"
            reason, sequence = "tool_use", None
        elif sequence is not None:
            reason = "stop_sequence"
    details = {"type": "refusal", "category": None, "explanation": None} if reason == "refusal" else None
    return {"stop_reason": reason, "stop_sequence": sequence, "stop_details": details}


def _matched(choice: Json) -> str | None:
    """The stop sequence, where a server says which it was: OpenAI does not."""
    found: Any = choice.get("stop_reason") or choice.get("matched_stop")  # vLLM, SGLang
    return found if isinstance(found, str) else None
