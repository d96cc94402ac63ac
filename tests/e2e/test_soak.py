"""A short soak: calls of all kinds, a collector that is away now and then. Every call is one row, and neither
service keeps anything of it. `bench/soak.py` is the program; a longer run of it tells more.
"""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

SOAK = Path(__file__).parents[2] / "bench" / "soak.py"
SPELLS, SPELL_S, CALLS_PER_S = 12, 6, 100
# Nothing is under way at a rest, so what is held then is what stays. The first third of the rests is warm-up:
# modules, prices, the first checkpoint. From the second to the last third there are 2,400 calls, with records
# of 15 KB on average: kept, they would be 36 MB. From run to run the gateway's medians differ by 3 MB (its
# allocator), the collector's by 25 MB (DuckDB's, and rows that are not in the file yet).
GATEWAY_GROWTH_MB, COLLECTOR_GROWTH_MB = 8, 32


@pytest.fixture(scope="module")
def soak(tmp_path_factory):
    """What the program found."""
    found = tmp_path_factory.mktemp("soak") / "soak.json"
    options = {
        "--minutes": SPELLS * SPELL_S / 60,
        "--spell": SPELL_S,
        "--rate": CALLS_PER_S,
        "--away-every": 4,
        "--away": 3,
        "--json": found,
    }
    arguments = [str(word) for option in options.items() for word in option]
    subprocess.run([sys.executable, SOAK, *arguments], check=False)
    assert found.exists(), "it failed; why is said above"
    return json.loads(found.read_text())


def growth(soak, held):
    """From the second to the last third of the rests."""
    values = [held(rest) for rest in soak["rests"]]
    assert len(values) == SPELLS
    third = SPELLS // 3
    return median(values[-third:]) - median(values[third:-third])


@pytest.mark.timeout(600)
def test_every_call_ends_as_it_should_and_is_one_row(soak):
    assert soak["wrong"] == {}
    assert soak["rows"] == soak["calls"] == SPELLS * SPELL_S * CALLS_PER_S
    assert soak["is_whole"]


def test_what_the_gateway_holds_does_not_grow(soak):
    assert growth(soak, lambda rest: rest["gateway"]["rss_mb"]) < GATEWAY_GROWTH_MB
    assert growth(soak, lambda rest: rest["gateway"]["files"]) <= 1
    assert growth(soak, lambda rest: rest["gateway"]["threads"]) <= 1


def test_what_the_collector_holds_does_not_grow(soak):
    assert growth(soak, beside_duckdb_mb) < COLLECTOR_GROWTH_MB
    assert growth(soak, lambda rest: rest["collector"]["files"]) <= 1
    assert growth(soak, lambda rest: rest["collector"]["threads"]) <= 1


def beside_duckdb_mb(rest):
    """DuckDB's own memory has a limit, and grows up to it with what it writes and reads."""
    return rest["collector"]["rss_mb"] - rest["cache_mb"] - rest["work_mb"]
