"""The machine that was measured on: what it is, the programs' versions, and how busy it has been so far."""

import argparse
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import nginx

_PACKAGES = ("uvloop", "httptools", "httpx", "httpcore", "h11", "aiohttp")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def facts() -> dict[str, str]:
    """By name."""
    found = {
        "CPU": f"{_cpu_model()}, {os.cpu_count()} cores",
        "Linux": platform.release(),
        "Python": platform.python_version(),
    }
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if nginx.program() is not None:
        found["nginx"] = nginx.version()
    return found


def need_two_cores(parser: argparse.ArgumentParser) -> None:
    """Ends the program where processes can't be bound to a core each."""
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2:
        parser.error("needs Linux and two cores")


def options_of_rounds(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The command's, among them --rounds and --seconds of a sample, where there are two cores."""
    options = parser.parse_args()
    need_two_cores(parser)
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("at least one round, of more than no time")
    return options


def busy_s() -> float:
    """Seconds in which a core was not idle since it was started, all cores together."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle, waiting = ticks[3:5]
    return (sum(ticks) - idle - waiting) / _TICKS_PER_S


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
