"""`auth.keys_file` is read again when it changes; one that can't be read leaves the keys as they are."""

import asyncio
import logging
from pathlib import Path

from lessllm_shared.config import ConfigError
from lessllm_shared.config.keys_file import read_keys
from lessllm_shared.config.sections import Auth

from lessllm_gateway.keys.ring import KeyRing
from lessllm_gateway.metrics import KEYS_FILE_READ

INTERVAL_S = 1.0

log = logging.getLogger(__name__)

Signature = tuple[int, int, int] | None


class Watch:
    """Of one file, from the moment it is read first."""

    def __init__(self, auth: Auth) -> None:
        """Reads all keys. Raises ConfigError."""
        self._auth = auth
        self._seen = self._signature()  # before it is read: what changes meanwhile is read again
        self.ring = KeyRing(read_keys(auth), asks=auth.asks_for_keys)
        KEYS_FILE_READ.set(1)

    async def run(self) -> None:
        """Until cancelled."""
        while self._auth.keys_file is not None:
            await asyncio.sleep(INTERVAL_S)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Read the file, if it is another than before."""
        signature = self._signature()
        if signature == self._seen:
            return
        self._seen = signature
        try:
            keys = read_keys(self._auth)
        except ConfigError as error:
            KEYS_FILE_READ.set(0)
            log.error("the keys stay as they were: %s", error)  # noqa: TRY400 - it says all
            return
        if self._signature() != signature:
            self._seen = None  # it is being written
            return
        self.ring.replace(keys)
        KEYS_FILE_READ.set(1)
        log.info("%s was read again; client keys: %d", self._auth.keys_file, len(keys))

    def _signature(self) -> Signature:
        """What changes when the file does. A link leads to its file, so that it may change too."""
        try:
            found = (self._auth.keys_file or Path()).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size
