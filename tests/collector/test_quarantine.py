"""The file of frames that can't be read: bounded, closed to others, never in the way."""

import base64
import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from lessllm_collector import quarantine
from lessllm_collector.quarantine import Quarantine


@pytest.fixture
def path(tmp_path):
    return tmp_path / "calls.duckdb.quarantine.jsonl"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def add(tmp_path, *frames, keeps_content=True):
    Quarantine(tmp_path / "calls.duckdb", keeps_content=keeps_content).add([*frames], "why")


def test_a_frame_is_there_as_it_came_for_its_owner_alone(tmp_path, path):
    add(tmp_path, b"\xc1junk")
    (line,) = lines(path)
    assert (line["reason"], line["bytes"], base64.b64decode(line["frames"][0])) == ("why", [5], b"\xc1junk")
    assert path.stat().st_mode & 0o777 == 0o600


def test_where_bodies_are_not_kept_only_its_size_is(tmp_path, path):
    add(tmp_path, b"a prompt", keeps_content=False)
    assert "frames" not in lines(path)[0]


def test_full_it_keeps_the_oldest(tmp_path, path, monkeypatch):
    monkeypatch.setattr(quarantine, "MAX_BYTES", 1000)
    for number in range(20):
        add(tmp_path, b"%d" % number * 10)
    assert path.stat().st_size <= 1000
    assert base64.b64decode(lines(path)[0]["frames"][0]) == b"0" * 10


def test_what_can_not_be_written_is_not(tmp_path, path):
    path.mkdir()
    add(tmp_path, b"junk")


def test_it_goes_when_the_last_frame_is_old(tmp_path, path):
    kept = Quarantine(tmp_path / "calls.duckdb", keeps_content=True)
    now = datetime.now(UTC)
    kept.expire(now)  # there is none
    kept.add([b"junk"], "why")
    kept.expire(now - timedelta(days=1))
    assert path.exists()
    os.utime(path, (0, 0))
    kept.expire(now - timedelta(days=1))
    assert not path.exists()
