"""`python -m lessllm_gateway.check [PROVIDER…] < lessllm.yaml`: the process behind `lessllm check`.

A line of JSON for what is checked, {"providers": […], "client_keys": number, "remarks": […]}, and one for
each provider when it is done: a Report.
If the configuration is wrong, the one line {"mistakes": […]}, and the exit code 2.
"""

import argparse
import asyncio
import os
import sys
from typing import Any

import msgspec
import uvloop
from lessllm_shared.config import ConfigError, GatewaySettings, load
from lessllm_shared.config.load import parse_document

from lessllm_gateway.check.report import Check


def main() -> int:
    parser = argparse.ArgumentParser(prog="lessllm_gateway.check", description=__doc__)
    parser.add_argument("--timeout-s", type=float, default=10.0, help="for each stage")
    parser.add_argument("providers", nargs="*")
    arguments = parser.parse_args()
    try:
        settings = load(GatewaySettings, parse_document(sys.stdin.read(), source="standard input"))
        check = Check(settings, os.environ, arguments.timeout_s)
        names = check.providers(arguments.providers)
    except ConfigError as error:
        _say({"mistakes": str(error).splitlines()})
        return 2
    _say({"providers": names, "client_keys": len(check.client_keys), "remarks": check.remarks()})
    # As the gateway runs: asyncio's own TLS within TLS, to an https:// proxy, is broken before 3.11.8.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(check, names))
    return 0


async def _run(check: Check, names: list[str]) -> None:
    async for report in check.reports(names):
        _say(report)


def _say(fact: Any) -> None:
    sys.stdout.write(msgspec.json.encode(fact).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
