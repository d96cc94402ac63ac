"""Every example of the requirements, run as it stands: the files in requirements/ are its code blocks.

A block is run as a script in a folder of its own. What is changed in it is what nobody can have twice, and
nothing else; each test names it:

    http://localhost:8000       the gateway's port is a free one
    socks5://127.0.0.1:1080     so is the proxy's: a real one
    proxy.company.com:8080      likewise, with a password
    /shared/…                   a database in the test's folder
    ...                         a real prompt, or the arguments of a call

Keys come from the environment. Providers' addresses, which the examples leave to the defaults, are the
simulated provider's: in lessllm.yaml, or added to the dict that is given to `configure`.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pandas as pd
import pytest
import yaml
from e2e.processes import answers, clean_environment, free_port, wait_for
from lessllm.simulator import running_simulator

BLOCKS = Path(__file__).parent / "requirements"
HELLO = 'model="gpt-4", messages=[{"role": "user", "content": "Hello"}]'
PROMPTS = '[{"role": "user", "content": "Why was this slow?"}]'
CLIENT = "import lessllm, openai\nclient = openai.OpenAI(base_url=lessllm.get_proxy_url())\n"
MODELS = ("gpt-4", "claude-3-opus", "gemini-pro")
KEYS = {"OPENAI_API_KEY": "sk-someone", "ANTHROPIC_API_KEY": "sk-ant-someone"}


@pytest.fixture(scope="module")
def simulator():
    """With latencies, a tenth of what is usual: the figures must not be NULL."""
    with running_simulator(time_scale=0.1) as url:
        yield url


@pytest.fixture
def providers(simulator):
    return {"openai": {"base_url": f"{simulator}/v1"}, "anthropic": {"base_url": simulator}}


@pytest.fixture
def configure(tmp_path, providers):
    """Writes lessllm.yaml with the simulated providers, and with aliases where the examples need them."""

    def write(text=""):
        gemini = {"provider": "openai", "model": "gpt-4o"}
        rest = {} if "models:" in text else {"models": {"gemini-pro": gemini}}
        path = tmp_path / "lessllm.yaml"
        path.write_text(text + yaml.safe_dump({"providers": providers, **rest}))

    return write


@pytest.fixture
def ports():
    return {"LESSLLM_GATEWAY__PORT": str(free_port()), "LESSLLM_COLLECTOR__PORT": str(free_port())}


@pytest.fixture
def block(tmp_path, ports):
    """Runs a block. Returns what `shown`, a Python expression, is when it has run."""

    def run(name, changes, shown, *, before="", environment=None):
        script = tmp_path / name
        text = f"{before}\n{changed(name, changes)}\nimport json\nprint(json.dumps({shown}, default=str))\n"
        script.write_text(text)
        done = subprocess.run(
            [sys.executable, "-W", "error", script],
            cwd=tmp_path,
            env={**clean_environment(), **KEYS, **ports, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return json.loads(done.stdout)

    return run


@pytest.fixture
def server(tmp_path, ports):
    """`lessllm server …`, as a shell runs that line, until the test ends: then by Ctrl-C."""
    port = int(ports["LESSLLM_GATEWAY__PORT"])
    started = []

    def run(line):
        environment = {**clean_environment(), **KEYS, **ports, "PATH": path()}
        command = ["bash", "-c", f"exec {line} > server.log 2>&1"]
        started.append(subprocess.Popen(command, cwd=tmp_path, env=environment))
        wait_for(lambda: started[0].poll() is not None or answers(port, "/readyz"), "lessllm server")
        assert started[0].poll() is None, (tmp_path / "server.log").read_text()

    yield run
    for process in started:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert "Traceback" not in (tmp_path / "server.log").read_text()


def test_scenario_1_a_file_says_where_models_are_and_the_code_stays_as_it_is(
    block, configure, server, ports, pproxy
):
    text = changed("scenario_1.yaml", {"socks5://127.0.0.1:1080": f"socks5://{pproxy('socks5')}"})
    configure(text)
    server("lessllm server --config lessllm.yaml")
    seen = block(
        "scenario_1.py",
        on_port(ports),
        "[response.choices[0].message.content, response.model]",
        before="import openai",
    )
    assert seen[0]
    assert seen[1] == "claude-3-opus-20240229"
    (call,) = asked(ports, "SELECT model, provider, upstream_format, route, end_reason FROM api_calls")
    assert call[:3] == ["claude", "anthropic", "anthropic-messages"]
    assert call[3].startswith("socks5://127.0.0.1:")
    assert call[4] == "complete"


def test_scenario_2_every_call_of_an_enterprise_is_recorded(block, tmp_path, ports, pproxy, providers):
    address = pproxy("http", "team:pa55")
    changes = {
        **on_port(ports),
        "proxy.company.com:8080": address,
        "/shared/ai_usage_logs.db": str(tmp_path / "ai_usage_logs.db"),
        '    "logging": {': f'    "providers": {providers},\n    "logging": {{',
        "create(...)": f"create({HELLO})",
    }
    seen = block(
        "scenario_2.py",
        changes,
        '[list(usage_report), lessllm.query("SELECT route FROM api_calls")[0]["route"]]',
        before="import openai",
        environment={"PROXY_USER": "team", "PROXY_PASS": "pa55"},
    )
    ((report,), route) = seen
    assert (report["model"], report["calls"]) == ("gpt-4", 1)
    assert report["total_cost"] > 0
    assert "avg_cache_hit_rate" in report
    assert route == f"http://{address}"
    assert (tmp_path / "ai_usage_logs.db").exists()


def test_scenario_3_models_are_compared(block, configure, tmp_path):
    configure()
    results, data = block(
        "scenario_3.py",
        {"[...]": '["Hello", "Name three colours."]'},
        "[results, list(experiment_data)]",
        before=CLIENT,
    )
    assert [(r["model"], bool(r["response"])) for r in results] == [(m, True) for m in MODELS for _ in "12"]
    assert sorted(row["model"] for row in data) == sorted(MODELS)
    for row in data:  # measured though the calls did not stream
        assert row["avg_ttft"] > 0
        assert row["avg_tpot"] > 0
        assert row["avg_cost"] > 0
        assert "avg_cache_hit" in row
    assert len(pd.read_parquet(tmp_path / "experiment_results.parquet")) == 6


def test_scenario_4_slow_calls_are_found_and_caching_is_compared(block, configure):
    configure()
    slow = f'client.chat.completions.create({HELLO}, extra_headers={{"x-simulate": "slow_first_byte=5.1"}})\n'
    every = "list(lessllm.query('SELECT * FROM api_calls'))"
    issues, cache, recorded = block(
        "scenario_4.py",
        {"[...]": PROMPTS},
        f"[list(performance_issues), list(cache_optimization), {every}]",
        before=CLIENT + slow,
    )
    (issue,) = issues
    assert issue["model"] == "gpt-4"
    assert issue["estimated_ttft_ms"] > 5000
    assert issue["estimated_tpot_ms"] > 0
    assert issue["actual_cache_hit_rate"] == 0
    assert cache[0]["model"] == "gpt-4"
    assert cache[0]["actual_hit_rate"] == 0
    for call in recorded:  # what the comment in the block says is recorded by itself
        assert call["raw_request"]
        assert call["raw_response"]
        assert call["total_latency_ms"] >= call["server_wait_ms"] > 0
    first = min(recorded, key=lambda call: call["timestamp"])  # the one that opened the connection
    assert first["network_ms"] > 0
    assert first["compute_ms"] > 0


def test_as_a_server_an_app_needs_only_the_base_url(configure, server, tmp_path, ports):
    configure()
    (tmp_path / "my_ai_app.py").write_text(
        f"import openai\nopenai.OpenAI().chat.completions.create({HELLO})\n"
    )
    port = ports["LESSLLM_GATEWAY__PORT"]
    changes = {"--port 8000": f"--port {port}", "localhost:8000": f"localhost:{port}"}
    first, rest = changed("as_a_server.sh", changes).split("\n", 1)
    server(first)  # in a terminal of its own
    environment = {**clean_environment(), **KEYS, "PATH": path()}
    subprocess.run(["bash", "-euc", rest], cwd=tmp_path, env=environment, timeout=60, check=True)
    assert asked(ports, "SELECT model, end_reason FROM api_calls") == [["gpt-4", "complete"]]


def test_as_a_library_configure_starts_everything(block, pproxy, providers):
    changes = {
        "socks5://127.0.0.1:1080": f"socks5://{pproxy('socks5')}",
        '"logging": {"enabled": True}': f'"logging": {{"enabled": True}}, "providers": {providers}',
        "create(...)": f"create({HELLO})",
    }
    stats = block("as_a_library.py", changes, "stats")
    assert stats["totals"]["calls"] == 1
    assert stats["by_model"][0]["model"] == "gpt-4"


def test_for_analysis_calls_are_queried_exported_and_read_by_pandas(block, configure):
    configure()
    calls = f"for model in {MODELS}:\n    client.chat.completions.create(model=model, messages={PROMPTS})\n"
    rows, exported = block(
        "for_analysis.py",
        {},
        "[list(results), sorted(df['model'])]",
        before=CLIENT + calls,
    )
    assert sorted(row["model"] for row in rows) == sorted(MODELS)
    assert all(row["daily_tokens"] > 0 and row["date"] for row in rows)
    assert exported == ["claude-3-opus", "gpt-4"]


def changed(name, changes):
    """The block with the changes made; each must find something to change."""
    text = (BLOCKS / name).read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def on_port(ports):
    return {"http://localhost:8000": f"http://localhost:{ports['LESSLLM_GATEWAY__PORT']}"}


def asked(ports, sql):
    """The rows of a query, over HTTP."""
    httpx.post(f"http://127.0.0.1:{ports['LESSLLM_GATEWAY__PORT']}/flush")
    url = f"http://127.0.0.1:{ports['LESSLLM_COLLECTOR__PORT']}/query"
    return httpx.post(url, json={"sql": sql}).json()["rows"]


def path():
    """Where `lessllm` and `python` are those of this environment."""
    return f"{Path(sys.executable).parent}:/usr/bin:/bin"
