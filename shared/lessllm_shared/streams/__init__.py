"""Reading the event streams of each API format: what an event brings, and the whole answer assembled.

`stream_reader(format)` gives a reader; feed it every event of a stream in order. Used by the collector
(first tokens, usage, the assembled answer) and by the gateway (plain answers for calls that it streamed
upstream to measure them). Readers never raise on an upstream's input: what can't be read is skipped and
counted.
"""

from lessllm_shared.record import ApiFormat
from lessllm_shared.streams.anthropic import MessagesReader
from lessllm_shared.streams.chat import ChatReader
from lessllm_shared.streams.completions import CompletionsReader
from lessllm_shared.streams.gemini import GeminiReader
from lessllm_shared.streams.reader import Brings, StreamReader
from lessllm_shared.streams.responses import ResponsesReader

__all__ = ["Brings", "StreamReader", "stream_reader"]


def stream_reader(api_format: ApiFormat) -> StreamReader | None:
    """A fresh reader, or None for a format that has no event stream of its own."""
    reader = _READERS.get(api_format)
    return None if reader is None else reader()


_READERS: dict[ApiFormat, type[StreamReader]] = {
    ApiFormat.CHAT: ChatReader,
    ApiFormat.COMPLETIONS: CompletionsReader,
    ApiFormat.RESPONSES: ResponsesReader,
    ApiFormat.MESSAGES: MessagesReader,
    ApiFormat.GEMINI: GeminiReader,
}
