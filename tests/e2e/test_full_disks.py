"""Disks that get full, under the collector's database and under the gateway's spool: no client notices,
nothing that was acknowledged is lost, what can't be kept is counted, and with room again all goes on.
"""

import os
import random
import subprocess
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from e2e.processes import wait_for

KEY = {"authorization": "Bearer sk-someone"}
LARGE = 100_000
IDS = "SELECT request_id FROM api_calls"


@dataclass
class Disk:
    """A file system of its own, in memory."""

    path: Path

    @property
    def free_bytes(self):
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, *, but_bytes=0):
        """With a file of somebody else's."""
        with (self.path / "ballast").open("ab", buffering=0) as file, suppress(OSError):
            while self.free_bytes > but_bytes:
                file.write(bytes(min(65536, self.free_bytes - but_bytes)))

    def make_room(self):
        """That file goes."""
        (self.path / "ballast").unlink()

    def resize(self, size_mb):
        mount("-o", f"remount,size={size_mb}m", self.path)


def mount(*arguments):
    try:
        subprocess.run(["mount", *arguments], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk can't be mounted here: {getattr(error, 'stderr', error)}")


@pytest.fixture
def small_disk(tmp_path):
    """Mounts one of so many megabytes."""
    with ExitStack() as stack:

        def mounted(size_mb):
            if os.geteuid() != 0:
                pytest.skip("only root can mount a small disk")
            path = tmp_path / "disk"
            path.mkdir()
            mount("-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", path)
            stack.callback(subprocess.run, ["umount", path], check=True)
            return Disk(path)

        yield mounted


@pytest.fixture
def start(services, simulator):
    """Services with these settings."""

    def started(**sections):
        return services({"providers": {"openai": {"base_url": f"{simulator}/v1"}}, **sections})

    return started


def calls(services, count, body_bytes=10):
    """Makes so many, of which none fails. Returns their ids."""
    noise = random.Random(count)
    with httpx.Client(base_url=services.gateway.url, headers=KEY, trust_env=False, timeout=30) as client:
        answers = [
            client.post(
                "/v1/chat/completions",
                json={
                    "model": "gpt-4o",
                    "messages": [{"role": "user", "content": noise.randbytes(body_bytes // 2).hex()}],
                },
            )
            for _ in range(count)
        ]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.headers["x-lessllm-request-id"] for answer in answers]


def metrics(process):
    """Values by name, labels included."""
    lines = httpx.get(f"{process.url}/metrics", trust_env=False).text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def readiness(services):
    answer = httpx.get(f"{services.collector.url}/readyz", trust_env=False)
    return answer.status_code, answer.json().get("reason")


def asked(services, sql):
    """The first value of an answer, whatever is not recorded yet."""
    answer = httpx.post(f"{services.collector.url}/query", json={"sql": sql}, trust_env=False, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"][0][0]


def recorded(services):
    return sorted(row["request_id"] for row in services.rows(IDS))


def wait_for_trouble(services):
    wait_for(lambda: readiness(services)[0] == 503, "the collector to say that the disk is full")
    assert "the disk is full" in readiness(services)[1]
    assert metrics(services.collector)["lessllm_collector_commits_failing"] == 1


def fill_database(services):
    """With calls, until the collector takes no more of them. Returns their ids."""
    made = []
    while httpx.post(f"{services.gateway.url}/flush", params={"timeout_s": 3}, trust_env=False).json()[
        "flushed"
    ]:
        made += calls(services, 20, LARGE)
    wait_for_trouble(services)
    return made


@pytest.fixture
def on_small_disk(small_disk, start, tmp_path):
    """Services whose database is on a disk of its own, and the disk."""
    disk = small_disk(16)
    logging = {"db_path": str(disk.path / "calls.duckdb"), "spool_dir": str(tmp_path / "spool")}
    return start(logging=logging), disk


def test_a_collector_whose_disk_somebody_else_fills_answers_questions_and_goes_on_when_there_is_room(
    on_small_disk,
):
    services, disk = on_small_disk
    made = calls(services, 10)
    services.flush()
    disk.fill()
    made += calls(services, 10)
    wait_for_trouble(services)
    assert asked(services, "SELECT count(*) FROM api_calls") == 10
    assert metrics(services.gateway)["lessllm_gateway_records_pending"] == 10  # nothing was acknowledged
    disk.make_room()
    assert recorded(services) == sorted(made)
    assert readiness(services) == (200, None)
    assert metrics(services.collector)["lessllm_collector_commits_failing"] == 0


def test_a_collector_that_fills_its_disk_stops_before_it_is_full_and_goes_on_when_it_is_larger(
    on_small_disk,
):
    services, disk = on_small_disk
    made = fill_database(services)
    made += calls(services, 20, LARGE)
    assert disk.free_bytes > 1_000_000
    assert 20 < asked(services, "SELECT count(*) FROM api_calls") <= len(made) - 20
    assert metrics(services.gateway)["lessllm_gateway_records_pending"] >= 20
    disk.resize(80)
    assert recorded(services) == sorted(made)
    assert readiness(services) == (200, None)


def test_on_a_full_disk_a_collector_ends_in_order_and_starts_and_loses_nothing(on_small_disk):
    services, disk = on_small_disk
    made = calls(services, 10)
    services.flush()
    disk.fill()
    made += calls(services, 10)
    wait_for_trouble(services)
    services.collector.stop()
    services.start("collector", ready="/healthz")
    wait_for_trouble(services)
    assert asked(services, "SELECT count(*) FROM api_calls") == 10
    made += calls(services, 10)
    services.collector.kill()
    services.start("collector", ready="/healthz")
    wait_for_trouble(services)
    assert asked(services, "SELECT count(*) FROM api_calls") == 10
    disk.make_room()
    assert recorded(services) == sorted(made)


def test_old_bodies_that_are_deleted_make_room_on_a_disk_that_the_database_has_filled(on_small_disk):
    services, disk = on_small_disk
    made = fill_database(services)
    services.collector.stop()
    services.configure("logging", retention={"bodies": "1s"})
    services.start("collector", ready="/healthz")
    made += calls(services, 20, LARGE)
    assert recorded(services) == sorted(made)
    assert disk.free_bytes > 1_000_000
    assert readiness(services) == (200, None)


LOST = 'lessllm_gateway_records_lost_total{reason="buffer_full"}'


@pytest.fixture(params=["by its limit", "with its disk"])
def small_spool(request, small_disk, start, tmp_path):
    """Services whose spool is soon full."""
    if request.param == "by its limit":
        logging = {"spool_dir": str(tmp_path / "spool"), "spool_bytes": 2**20}
    else:
        logging = {"spool_dir": str(small_disk(4).path / "spool")}
    return start(logging=logging, gateway={"record_buffer_bytes": 2**22})


def test_with_spool_and_memory_full_the_oldest_records_are_kept_and_the_others_counted_exactly(small_spool):
    services = small_spool
    services.collector.stop()
    made = calls(services, 6, LARGE)  # which may come to the spool together, and fit
    wait_for(lambda: metrics(services.gateway)["lessllm_gateway_spool_bytes"] > 6 * LARGE, "records on disk")
    while metrics(services.gateway).get(LOST, 0) < 10:
        made += calls(services, 10, LARGE)
    lost = int(metrics(services.gateway)[LOST])
    assert "the spool can't take them" in services.gateway.log.read_text()
    services.start("collector")
    services.flush()
    after = calls(services, 10, LARGE)
    kept = set(recorded(services))
    assert len(kept & set(made)) == len(made) - lost
    assert kept.issuperset(made[:6])  # the oldest; of the others, one that is smaller may still find room
    assert kept.issuperset(after)
    gaps = services.rows("SELECT reason, sum(calls)::BIGINT AS calls FROM delivery_gaps GROUP BY 1")
    assert gaps == [{"reason": "lost", "calls": lost}]
    assert metrics(services.gateway)[LOST] == lost
    assert metrics(services.collector)['lessllm_collector_delivery_gaps_total{reason="lost"}'] == lost


def outlives_its_gateway(services, disk, made):
    """With room on its disk again, the gateway spools these calls: they arrive though it is killed."""
    disk.make_room()
    wait_for(lambda: "records are spooled again" in services.gateway.log.read_text(), "it to go on")
    wait_for(lambda: metrics(services.gateway)["lessllm_gateway_records_buffer_used_bytes"] == 0, "the disk")
    services.gateway.kill()
    services.start("collector", "gateway")
    wait_for(lambda: recorded(services) == sorted(made), "what the killed gateway left")


def test_a_gateway_goes_on_with_its_spool_when_its_disk_has_room_again(small_disk, start):
    disk = small_disk(8)
    services = start(logging={"spool_dir": str(disk.path / "spool")})
    services.collector.stop()
    disk.fill()
    made = calls(services, 5)
    wait_for(lambda: "the spool can't take them" in services.gateway.log.read_text(), "the spool to be full")
    outlives_its_gateway(services, disk, made)


def test_a_gateway_that_starts_on_a_full_disk_takes_calls_and_spools_when_there_is_room(small_disk, start):
    disk = small_disk(8)
    services = start(logging={"spool_dir": str(disk.path / "spool")})
    services.gateway.stop()
    services.collector.stop()
    disk.fill()
    services.start("gateway")
    made = calls(services, 5)
    outlives_its_gateway(services, disk, made)


def test_a_gateway_that_is_stopped_with_no_room_for_its_records_says_how_many_are_lost(small_disk, start):
    disk = small_disk(8)
    services = start(logging={"spool_dir": str(disk.path / "spool")})
    services.collector.stop()
    disk.fill()
    made = calls(services, 3)
    services.gateway.stop()
    assert "3 records are lost: neither the collector nor the spool took them" in (
        services.gateway.log.read_text()
    )
    disk.make_room()
    services.start("collector", "gateway")
    gaps = lambda: services.rows("SELECT request_id FROM delivery_gaps WHERE reason = 'gateway_killed'")  # noqa: E731
    wait_for(lambda: sorted(gap["request_id"] for gap in gaps()) == sorted(made), "them to be told")
