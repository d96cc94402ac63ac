"""TensorZero's HTTP gateway, which its Python package holds, with the configuration file that is named.

Runs in TensorZero's own environment and prints its URL.
"""

import asyncio
import sys

import tensorzero  # type: ignore[import-not-found]


async def _serve() -> None:
    gateway = await tensorzero._start_http_gateway(  # noqa: SLF001 - the one way to it
        config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=True
    )
    sys.stdout.write(f"{gateway.base_url}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


asyncio.run(_serve())
