"""Thinking that a client sends back: put where it stood in the message, or missed where it is needed.

The blocks come as `thinking_blocks` beside an assistant message's content, as `blocks` has put them there, or
as parts of that content. Without a signature Anthropic takes none, nor `reasoning_content`, which is left
out. Gateways that do not note where a block stood mean: before everything else.
"""

from typing import Any

from lessllm_gateway.translate.translation import Json
from lessllm_gateway.translate.values import count, fields, objects, text

_KINDS = ("thinking", "redacted_thinking")


def is_thinking(block: Any) -> bool:
    """Whether the block, or what may be one, is of thinking."""
    return fields(block).get("type") in _KINDS


def thinking_block(given: Any) -> Json | None:
    """The block as Anthropic made it; None for what is none, or can't be sent back."""
    block = fields(given)
    if block.get("type") == "thinking" and text(block.get("signature")):
        return {"type": "thinking", "thinking": text(block.get("thinking")), "signature": block["signature"]}
    if block.get("type") == "redacted_thinking" and text(block.get("data")):
        return {"type": "redacted_thinking", "data": block["data"]}
    return None


def woven(message: Json, said: list[Json], calls: list[Json]) -> list[Json]:
    """Text and calls of an assistant message, with its thinking among them."""
    if any(map(is_thinking, said)):
        return said + calls  # in place already; `thinking_blocks` only repeats it
    result: list[Json] = []
    rest, chars = list(said), 0
    calls_done = 0
    for given in objects(message.get("thinking_blocks")):
        block = thinking_block(given)
        if block is None:
            continue
        calls_before = count(given.get("calls_before")) or 0
        ahead = (count(given.get("text_before")) or 0) - chars
        taken, rest = _cut(rest, ahead if not calls_before else None)
        chars += sum(len(text(piece.get("text"))) for piece in taken)
        result += taken
        result += calls[calls_done:calls_before]
        calls_done = max(calls_done, calls_before)
        result.append(block)
    result += rest + calls[calls_done:]
    return [block for block in result if block["type"] != "text" or block["text"].strip()]


def lacks_thinking(turns: list[Json]) -> bool:
    """Whether the assistant's unfinished turn, of calls and their results, does not begin with thinking.

    With a budget for thinking, Anthropic refuses that.
    """
    begin = len(turns)
    while begin >= 2 and _has_results(turns[begin - 1]):
        begin -= 2
    if begin >= len(turns) or turns[begin]["role"] != "assistant":
        return False
    return not is_thinking(turns[begin]["content"][0])


def _has_results(turn: Json) -> bool:
    return turn["role"] == "user" and any(block["type"] == "tool_result" for block in turn["content"])


def _cut(pieces: list[Json], chars: int | None) -> tuple[list[Json], list[Json]]:
    """The blocks up to so many characters of text, all for None, and the rest."""
    if chars is None:
        return pieces, []
    taken: list[Json] = []
    for index, piece in enumerate(pieces):
        said = text(piece.get("text"))
        if len(said) > chars:
            head = [{"type": "text", "text": said[:chars]}] if chars > 0 else []
            return taken + head, [{**piece, "text": said[max(0, chars) :]}, *pieces[index + 1 :]]
        taken.append(piece)
        chars -= len(said)
    return taken, []
