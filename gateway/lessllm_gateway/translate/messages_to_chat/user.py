"""Whom the request is for: `metadata.user_id` as `user`."""

import hashlib

from lessllm_gateway.translate.translation import Json, Wanted
from lessllm_gateway.translate.values import fields, text

MAX_CHARS = 64  # OpenAI's limit; Claude Code's ids have 150 and more


def user_fields(request: Json, wanted: Wanted) -> Json:
    """`user`; a longer id by its digest, which is as good at telling users apart."""
    user = text(fields(request.get("metadata")).get("user_id"))
    if not user or not wanted.chat.user:
        return {}
    if len(user) > MAX_CHARS:
        user = hashlib.sha256(user.encode("utf-8", "replace")).hexdigest()
    return {"user": user}
