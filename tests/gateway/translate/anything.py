"""JSON that a client or a provider might send: their own names and words, where none expects them."""

from hypothesis import strategies as st

NAMES = st.sampled_from(
    [
        *(
            "model",
            "messages",
            "role",
            "content",
            "type",
            "text",
            "name",
            "id",
            "index",
            "input",
            "data",
            "user",
        ),
        *(
            "image_url",
            "url",
            "detail",
            "file",
            "file_data",
            "file_id",
            "filename",
            "cache_control",
            "refusal",
        ),
        *(
            "tools",
            "tool_calls",
            "tool_call_id",
            "tool_choice",
            "allowed_tools",
            "mode",
            "function",
            "arguments",
        ),
        *("parameters", "properties", "items", "anyOf", "strict", "response_format", "json_schema", "schema"),
        *("thinking", "thinking_blocks", "signature", "text_before", "calls_before", "reasoning_content"),
        *("message", "content_block", "delta", "partial_json", "usage", "input_tokens", "output_tokens"),
        *("stop_reason", "stop_details", "explanation", "error", "user_id"),
    ]
)
WORDS = st.sampled_from(
    [
        *(
            "system",
            "developer",
            "user",
            "assistant",
            "tool",
            "text",
            "image_url",
            "file",
            "refusal",
            "function",
        ),
        *("thinking", "redacted_thinking", "tool_use", "json_schema", "object", "string", "allowed_tools"),
        *("none", "auto", "required", "high", "data:text/plain;base64,!!!", "data:image/png,x", "https://x"),
        *("message_start", "content_block_start", "content_block_delta", "content_block_stop"),
        *("message_delta", "message_stop", "error", "ping"),
        *("text_delta", "input_json_delta", "thinking_delta", "signature_delta"),
    ]
)
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=10,
)
ODD_OBJECT = st.dictionaries(NAMES | st.text(max_size=4), ODD, max_size=5)
