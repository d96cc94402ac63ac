"""`python -m lessllm.background`: a local server that lives as long as some process uses it.

Started by `local`. One JSON object comes in on stdin: configuration and overrides. One goes out on
stdout, when the server is ready or could not be started. After that it is on its own: it has a session
of its own, and what it and its services say goes to a file of bounded size.
"""

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import sys

from lessllm_shared.config import ConfigError

from lessllm import state
from lessllm.errors import ServerError
from lessllm.plan import Overrides, Plan, make_plan
from lessllm.server import serve
from lessllm.server_log import server_log


def main() -> None:
    order = json.load(sys.stdin)
    if os.fork():  # whoever started us is not to wait for us, nor we to become its zombie
        os._exit(0)
    try:
        plan = make_plan(order["document"], Overrides(**order["overrides"]))
        folder = state.ServerState(plan.database)
    except (ServerError, ConfigError) as error:
        _report({"error": str(error)})
        return
    with server_log(folder) as log:
        _serve(plan, folder, log)


def _serve(plan: Plan, folder: state.ServerState, log: logging.Logger) -> None:
    def on_ready(running: state.Running) -> None:
        _report({"running": dataclasses.asdict(running)})
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        os.close(nowhere)

    try:
        asyncio.run(serve(plan, folder, stays=False, on_ready=on_ready, say=log.info))
    except ServerError as error:
        log.error("%s", error)  # noqa: TRY400 - the message says it all
        _report({"error": str(error)})
    except Exception:
        log.exception("the server ended by a mistake of ours")
        raise


def _report(answer: dict[str, object]) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody waits any more
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
