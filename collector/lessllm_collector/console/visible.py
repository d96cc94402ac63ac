"""Text from calls as it can be shown: what can't be seen, or would turn the text around it, is written out.

A right-to-left override or a null byte in a prompt is data that its reader wants to know of.
"""

import re

_NAMED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """With `[U+202E]` for what has no look of its own. Lines and tabs stay."""
    plain = text.replace("\r\n", "\n")
    return _NAMED.sub(lambda found: f"[U+{ord(found[0]):04X}]", plain)
