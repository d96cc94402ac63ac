"""What of a request its answer depends on."""

from dataclasses import dataclass

from lessllm_gateway.translate.messages_to_chat.tools import ToolNames


@dataclass(frozen=True, slots=True)
class Remembered:
    """Of one call."""

    model: str | None
    names: ToolNames
    shows_thinking: bool
    input_estimate: int  # tokens of the prompt, until the provider says how many there are
