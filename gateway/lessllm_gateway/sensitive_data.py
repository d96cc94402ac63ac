"""What the policies on sensitive data make of a call's record, and of the call.

Where the policy is to flag, that is the collector's work and nothing is done here; else the request is looked
through before it goes on, and the rest of the record when the call is over.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from lessllm_shared.config import GatewaySettings
from lessllm_shared.config.sections import Key
from lessllm_shared.record import CallRecord

from lessllm_gateway.policies import Policies, Rule

if TYPE_CHECKING:
    from lessllm_gateway.redaction import Redactor

LARGE_BYTES = 256 * 1024  # of a request that is looked through beside the loop: 5 ms

log = logging.getLogger(__name__)


class SensitiveData:
    """Of one gateway process."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._policies = Policies(settings)
        self._redactor: Redactor | None = None

    def rule(self, record: CallRecord, key: Key | None) -> Rule:
        """What holds for a call, put into its record; its model must be there, if it is known."""
        rule = self._policies.of(None if key is None else key.sensitive_data, record.model)
        record.sensitive_policy = rule.policy
        return rule

    async def put_down(self, record: CallRecord, body: bytes, rule: Rule, *, is_json: bool) -> None:
        """The request into the record. Raises Rejection for what may not go on."""
        if not rule.acts:
            record.request_body = body
            return
        redactor = self._looking()
        if len(body) > LARGE_BYTES:
            redacted = await asyncio.to_thread(redactor.put_down, record, body, rule)
        else:
            redacted = redactor.put_down(record, body, rule)
        refusal = redactor.refusal(redacted, rule, is_json=is_json)
        if refusal is not None:
            raise refusal

    def finish(self, record: CallRecord, rule: Rule, refused: bytes | None) -> None:
        """The record is whole now. `refused`: the request of a call that never got so far as `put_down`."""
        if not rule.acts:
            if refused is not None:
                record.request_body = refused
            return
        redactor = self._looking()
        try:
            if refused is not None:
                redactor.put_down(record, refused, rule)
            redactor.clean(record, rule)
        except Exception as error:  # noqa: BLE001 - what can't be cleaned is not kept
            what, kind = "a defect: its bodies are not recorded", type(error).__name__
            log.error("%s: %s: %s", record.request_id, what, kind)  # noqa: TRY400 - not its text
            redactor.drop(record)

    def _looking(self) -> "Redactor":
        if self._redactor is None:
            from lessllm_gateway.redaction import Redactor  # noqa: PLC0415 - its libraries take 12 MB

            self._redactor = Redactor()
        return self._redactor
