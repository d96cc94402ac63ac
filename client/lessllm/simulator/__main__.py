"""`python -m lessllm.simulator --port P`: the simulated provider, until Ctrl-C."""

import argparse
import contextlib
import sys

import uvicorn

from lessllm.simulator.app import create_app
from lessllm.simulator.running import configuration, listener, url_of


def main() -> None:
    """Exit codes: 0 done, 1 could not start, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m lessllm.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same answers")
    parser.add_argument(
        "--time-scale", type=float, default=1.0, metavar="X", help="multiplies all latencies; 0: at once"
    )
    arguments = parser.parse_args()
    app = create_app(seed=arguments.seed, time_scale=arguments.time_scale)
    try:
        listening = listener(arguments.port)
    except (OSError, OverflowError) as error:
        sys.exit(f"simulator: can't listen on port {arguments.port}: {error}")
    with listening, contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again when all is closed
        print(url_of(listening), flush=True)  # noqa: T201 - whoever started us reads it
        uvicorn.Server(configuration(app)).run([listening])


if __name__ == "__main__":
    main()
