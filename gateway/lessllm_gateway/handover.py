"""Records leave the calls here: numbered, kept where the spool says, and delivered."""

from lessllm_gateway.delivery import Delivery
from lessllm_gateway.spool.keeper import Keeper


class Handover:
    """The recorder's sink."""

    def __init__(self, delivery: Delivery, keeper: Keeper | None) -> None:
        self._delivery = delivery
        self._keeper = keeper
        self.wants_opened = keeper is not None and keeper.wants_opened

    def begin(self, request_id: str, t0_unix_ns: int) -> None:
        """A call begins."""
        if self._keeper is not None:
            self._keeper.begin(request_id, t0_unix_ns)

    def opened(self, request_id: str, data: bytes) -> None:
        """A call goes upstream."""
        if self._keeper is not None:
            self._keeper.opened(request_id, data)

    def offer(self, request_id: str, data: bytes) -> bool:
        """The call's record. False: there was room for it nowhere, and it is lost."""
        is_on_disk = self._keeper is not None and self._keeper.end(request_id, data)
        return self._delivery.offer(data, is_on_disk=is_on_disk)
