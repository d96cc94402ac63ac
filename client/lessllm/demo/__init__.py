"""`lessllm demo`: LessLLM at work, without a key and without a network.

    stage (simulated provider, local server) → workload (what is sent) → traffic (sends it)
        → recorded calls → report (what was learnt)

Everything it starts ends with it. Answers and latencies are the simulator's; all else is in earnest.
"""

import asyncio
import signal
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lessllm.demo.report import findings, where_to_look
from lessllm.demo.stage import stage
from lessllm.demo.traffic import send_all
from lessllm.demo.workload import Call, make_lanes
from lessllm.screen import note, show


def run(*, calls: int, seed: int, folder: Path | None, stays: bool) -> None:
    """`folder` None: a temporary one. `stays`: until Ctrl-C. Raises ServerError."""
    with ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lessllm-demo-")))
        note("starting a simulated provider and a server …")
        staged = stack.enter_context(stage(place, is_temporary=folder is None, seed=seed))
        _send(staged.gateway_url, make_lanes(calls, seed))
        show(*findings(staged.client))
        show(*where_to_look(staged, stays=stays, is_kept=folder is not None))
        if stays:
            _wait_for_ctrl_c()


def _send(gateway_url: str, lanes: Sequence[Sequence[Call]]) -> None:
    calls = sum(map(len, lanes))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("calls sent", total=calls)
        asyncio.run(send_all(gateway_url, lanes, lambda: bar.advance(task)))


def _wait_for_ctrl_c() -> None:
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        note("stopping")
