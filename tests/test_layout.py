"""The layout and the borders between packages, as docs/architecture.md draws them."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "lessllm_shared": ROOT / "shared/lessllm_shared",
    "lessllm_gateway": ROOT / "gateway/lessllm_gateway",
    "lessllm_collector": ROOT / "collector/lessllm_collector",
    "lessllm": ROOT / "client/lessllm",
}
FORBIDDEN = {
    "lessllm_shared": {"lessllm_gateway", "lessllm_collector", "lessllm"},
    "lessllm_gateway": {"lessllm_collector", "lessllm", "duckdb", "pyarrow"},
    "lessllm_collector": {"lessllm_gateway", "lessllm", "httpx", "httpx_socks"},
    "lessllm": {"lessllm_gateway", "lessllm_collector", "duckdb"},
}


def imported_by(package: Path) -> set[str]:
    names = set()
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_package_imports_nothing_from_beyond_its_border(package):
    assert not imported_by(PACKAGES[package]) & FORBIDDEN[package]


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_every_package_is_typed_and_none_has_a_module_that_names_nothing(package):
    assert (PACKAGES[package] / "py.typed").exists()
    stems = {file.stem for file in PACKAGES[package].rglob("*.py")}
    assert not stems & {"utils", "util", "common", "helpers", "helper", "manager", "misc"}


def test_the_gateway_depends_on_neither_duckdb_nor_pyarrow_and_the_collector_not_on_httpx():
    def dependencies(folder: str) -> str:
        project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text("utf-8"))["project"]
        return " ".join(project["dependencies"])

    assert "duckdb" not in dependencies("gateway")
    assert "pyarrow" not in dependencies("gateway")
    assert "httpx" not in dependencies("collector")


def test_every_member_of_the_workspace_is_at_the_top_level():
    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["uv"]["workspace"]
    assert workspace["members"] == ["shared", "gateway", "collector", "client"]
