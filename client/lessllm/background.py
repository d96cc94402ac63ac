"""`python -m lessllm.background`: a local server that lives as long as some process uses it.

Started by `local`. One JSON object comes in on stdin: configuration and overrides. One goes out on
stdout, when the server is ready or could not be started. After that it is on its own: it has a session
of its own, and what it and its services say goes to a file of bounded size.
"""

import asyncio
import dataclasses
import json
import logging
import os
import sys
from logging.handlers import RotatingFileHandler

from lessllm_shared.config import ConfigError

from lessllm import state
from lessllm.errors import ServerError
from lessllm.plan import Overrides, make_plan
from lessllm.server import serve

_LOG_BYTES = 1024 * 1024  # and one older file of that size
_log = logging.getLogger("lessllm.server")


def main() -> None:
    order = json.load(sys.stdin)
    if os.fork():  # whoever started us is not to wait for us, nor we to become its zombie
        os._exit(0)
    try:
        plan = make_plan(order["document"], Overrides(**order["overrides"]))
        folder = state.ServerState(plan.database)
        _log_to_file(folder)
        asyncio.run(serve(plan, folder, stays=False, on_ready=_report_ready, say=_log.info))
    except (ServerError, ConfigError) as error:
        _log.error("%s", error)
        _report({"error": str(error)})
    except Exception:
        _log.exception("the server ended by a mistake of ours")
        raise


def _report_ready(running: state.Running) -> None:
    _report({"running": dataclasses.asdict(running)})
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _report(answer: dict[str, object]) -> None:
    try:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # nobody waits any more
        _log.warning("nobody waited for the start to end")


def _log_to_file(folder: state.ServerState) -> None:
    handler = RotatingFileHandler(folder.log, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)


if __name__ == "__main__":
    main()
