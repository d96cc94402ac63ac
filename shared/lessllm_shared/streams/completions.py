"""Text completions (`/v1/completions`): choices grow by `text`."""

from typing import Any

from lessllm_shared.streams.chunks import ChunkReader
from lessllm_shared.streams.reader import Brings


class CompletionsReader(ChunkReader):
    """Gathers a `text_completion`."""

    def brings(self, choice: dict[str, Any]) -> Brings:
        """Text is all there is."""
        return Brings.CONTENT if choice.get("text") else Brings.NOTHING

    def whole_choice(self, choice: dict[str, Any]) -> dict[str, Any]:
        """A choice has the same shape in a stream."""
        return choice
