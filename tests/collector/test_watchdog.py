"""The watchdog's last resort. When it acts: test_query."""

import subprocess
import sys
from pathlib import Path

from lessllm_collector import watchdog

ENDING = """
import atexit, logging
from lessllm_collector.watchdog import end_process
logging.basicConfig()
atexit.register(print, "cleaned up")
try:
    end_process("because of this")
finally:
    print("went on")
"""


def test_the_process_ends_at_once_with_a_reason_in_its_log():
    run = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (watchdog.EXIT_CODE, "")
    assert "CRITICAL" in run.stderr and "because of this" in run.stderr


def test_memory_is_unknown_where_the_system_does_not_say(monkeypatch, tmp_path):
    assert (watchdog.resident_bytes() or 0) > 1_000_000 or not Path("/proc").exists()
    monkeypatch.setattr(watchdog, "_STATM", tmp_path / "none")
    assert watchdog.resident_bytes() is None
