"""deploy/lessllm.yaml names every setting, with its default, and loads."""

import re
from pathlib import Path

import pytest
import yaml
from lessllm_shared.config import ClientSettings, CollectorSettings, GatewaySettings, load, read_document
from lessllm_shared.config import sections as s

EXAMPLE = Path(__file__).parents[2] / "deploy/lessllm.yaml"
SETTINGS = (GatewaySettings, CollectorSettings, ClientSettings)


def _uncommented():
    """With its commented-out settings switched on."""
    return re.sub(r"^(\s*)# (?=[a-z_]+: )", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("settings", SETTINGS)
def test_it_loads_as_it_stands(settings):
    load(settings, read_document(EXAMPLE), {})


@pytest.mark.parametrize("settings", SETTINGS)
def test_it_loads_with_what_is_commented_out(settings):
    environ = dict.fromkeys(re.findall(r"\$\{(\w+)", _uncommented()), "x" * 40)
    load(settings, yaml.safe_load(_uncommented()), environ)


@pytest.mark.parametrize(
    "section",
    [value for value in vars(s).values() if isinstance(value, type) and issubclass(value, s.Section)],
)
def test_it_names_every_setting(section):
    missing = [name for name in section.model_fields if not re.search(rf"\b{name}:", EXAMPLE.read_text())]
    assert missing == []


@pytest.mark.parametrize("name", ["timeouts", "pool", "gateway", "logging", "collector"])
def test_what_it_shows_as_defaults_are_the_defaults(name):
    shown = load(GatewaySettings, read_document(EXAMPLE), {})
    assert getattr(shown, name) == GatewaySettings.model_fields[name].default
