"""The log of a server that has no terminal: a file of bounded size in the database's state folder."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler

from lessllm.state import ServerState

_BYTES = 1024 * 1024  # and one older file of that size


@contextmanager
def server_log(folder: ServerState) -> Iterator[logging.Logger]:
    """What the server and its services say goes there."""
    log = logging.getLogger("lessllm.server")
    handler = RotatingFileHandler(folder.log, maxBytes=_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield log
    finally:
        log.removeHandler(handler)
        handler.close()
