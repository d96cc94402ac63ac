"""One API format into another, sans I/O: a package for each direction."""

from lessllm_shared.providers import WireFormat
from lessllm_shared.record import ApiFormat

from lessllm_gateway.translate.chained import ResponsesToMessages
from lessllm_gateway.translate.chat_to_messages import ChatToMessages
from lessllm_gateway.translate.messages_to_chat import MessagesToChat
from lessllm_gateway.translate.responses_to_chat import ResponsesToChat
from lessllm_gateway.translate.translation import Translation

TRANSLATIONS: dict[tuple[ApiFormat, WireFormat], type[Translation]] = {
    (ApiFormat.CHAT, "anthropic"): ChatToMessages,
    (ApiFormat.MESSAGES, "openai"): MessagesToChat,
    (ApiFormat.RESPONSES, "openai"): ResponsesToChat,
    (ApiFormat.RESPONSES, "anthropic"): ResponsesToMessages,
}
