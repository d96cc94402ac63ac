"""OpenAI responses, asked of a provider that has chat completions only."""

from typing import ClassVar
from uuid import uuid4

from lessllm_shared import tolerant_json
from lessllm_shared.record import ApiFormat

from lessllm_gateway.credentials import RawHeaders
from lessllm_gateway.errors import Rejection
from lessllm_gateway.transform import Transform
from lessllm_gateway.translate.responses_to_chat import answer, custom
from lessllm_gateway.translate.responses_to_chat.items import Tell
from lessllm_gateway.translate.responses_to_chat.output import Output
from lessllm_gateway.translate.responses_to_chat.request import chat_request
from lessllm_gateway.translate.responses_to_chat.stream import ResponseStream
from lessllm_gateway.translate.translation import Json, Wanted
from lessllm_gateway.translate.values import fields


class ResponsesToChat:
    """A `Translation`."""

    upstream_format: ClassVar = ApiFormat.CHAT
    upstream_path: ClassVar = "/chat/completions"
    headers: ClassVar[RawHeaders] = []

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._name = uuid4().hex[:24]
        self._request: Json = {}

    def request(self, body: bytes) -> bytes:
        try:
            self._request = tolerant_json.loads(body)
            return chat_request(self._request, self._wanted)
        except RecursionError:
            raise Rejection(400, "invalid_json", "the request body is nested too deeply") from None

    def answer(self, upstream: Json) -> Json:
        choice = answer.first_choice(fields(upstream))
        message = choice.get("message")
        if not isinstance(message, dict):
            raise ValueError("not a chat completion as OpenAI documents it")  # noqa: TRY004 - as promised
        output = self._output(lambda _: None)
        output.take(message, answer.logprobs(choice))
        status, how = answer.ended(choice.get("finish_reason"), answer.usage_in(upstream))
        output.close(cut_off=status == "incomplete")
        return answer.response(self._begun() | answer.said(upstream), status, output.items(), **how)

    def stream(self) -> Transform:
        return ResponseStream(self._begun(), self._output)

    def error(self, status: int, body: bytes) -> tuple[int, bytes]:
        return answer.error(status, body)

    def answer_headers(self, raw: RawHeaders) -> RawHeaders:
        return raw

    def _begun(self) -> Json:
        return answer.begun(self._request, self._name, self._wanted.model)

    def _output(self, tell: Tell) -> Output:
        reasoning = fields(self._request.get("reasoning"))
        as_summary = bool(reasoning.get("summary") or reasoning.get("generate_summary"))
        names = custom.names(self._request)
        return Output(tell, self._name, self._wanted.model, names, as_summary=as_summary)
