"""Thinking: asked for by Anthropic's `thinking` and `output_config.effort`, by OpenAI's `reasoning_effort`.

What a model takes is the provider's to know (`ChatTraits`). A model that can't be told how much to think
answers all the same, so nothing is refused; what was not passed on is named. Thinking comes back as
`reasoning_content` or `reasoning`, without a signature. Clients drop blocks that have none, so ours get
one, by which they are known when they come back; it holds what the model wants to see again (OpenRouter's
`reasoning_details`).
"""

from collections.abc import Iterable

from lessllm_gateway.translate.carried import MARK, WHOLE, pack, unpack
from lessllm_gateway.translate.traits import EFFORTS, NO_REASONING, by_model, fits, nearest_effort, switch
from lessllm_gateway.translate.translation import Json, Wanted
from lessllm_gateway.translate.values import fields, objects, text

SIGNATURE = MARK + "e30="  # of a block that no Claude wrote, and that holds nothing
# Budgets, in tokens, from which on they are these efforts.
_BUDGETS = ((16_384, "high"), (8192, "medium"), (0, "low"))


def thinking_fields(request: Json, wanted: Wanted, *, has_tools: bool) -> Json:
    """What tells the provider's model how much to think."""
    thinking = fields(request.get("thinking"))
    kind = text(thinking.get("type"))
    asked = _asked(kind, thinking, text(fields(request.get("output_config")).get("effort")))
    result: Json = {}
    name = by_model(wanted.chat.thinking, wanted.model)
    if name is not None and kind in {"enabled", "disabled"}:
        result[name] = switch(name, on=kind == "enabled")
    taken = by_model(wanted.chat.efforts, wanted.model) or ()
    is_barred = has_tools and "none" in taken and fits(wanted.chat.tools_without_effort, wanted.model)
    if is_barred:
        result["reasoning_effort"] = "none"
    elif taken and asked is not None and not (name in result and asked == "none"):
        result["reasoning_effort"] = nearest_effort(asked, taken)
    is_wish = asked not in {None, "none"} or (is_barred and kind == "adaptive")
    if is_wish and (not result or is_barred):
        wanted.leave_out("output_config.effort" if kind in {"", "between_tools"} else "thinking")
    return result


def refuses_sampling(wanted: Wanted, chat: Json) -> bool:
    """Whether the model takes no temperature, top_p and stop, as it thinks."""
    taken = by_model(wanted.chat.efforts, wanted.model)
    return wanted.chat.refuses_sampling and bool(taken) and chat.get("reasoning_effort") != "none"


def kept_of(message: Json) -> Json:
    """What a message, or a delta of one, has that the model wants to see again."""
    return {name: message[name] for name in WHOLE if objects(message.get(name))}


def signature(kept: Json, model: str | None) -> str:
    """Of a thinking block with that."""
    return pack(model, kept, {}) if kept else SIGNATURE


def history_fields(thoughts: Iterable[Json], wanted: Wanted) -> Json:
    """What an assistant's earlier message says of its thinking: these blocks."""
    thoughts = list(thoughts)
    carried = [found.message for block in thoughts if (found := unpack(block.get("signature"), wanted.model))]
    kept = {name: [item for message in carried for item in objects(message.get(name))] for name in WHOLE}
    if any(kept.values()):
        return {name: items for name, items in kept.items() if items}
    said = "".join(text(block.get("thinking")) for block in thoughts)
    if wanted.chat.reasoning == "always":
        return {"reasoning_content": said or NO_REASONING}
    return {"reasoning_content": said} if said and wanted.chat.reasoning == "kept" else {}


def is_shown(request: Json) -> bool:
    """Whether the client is to see what the model thinks: unless it said that there is to be no thinking."""
    return fields(request.get("thinking")).get("type") != "disabled"


def _asked(kind: str, thinking: Json, effort: str) -> str | None:
    """One of the efforts; None: as the model does by itself."""
    if kind == "disabled":
        return "none"
    if effort in EFFORTS:
        return effort
    budget = thinking.get("budget_tokens")
    if kind == "enabled" and isinstance(budget, int):
        return next((name for least, name in _BUDGETS if budget >= least), "low")
    return None
