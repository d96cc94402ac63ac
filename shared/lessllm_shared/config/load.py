"""Settings from a configuration document and the environment.

A document is lessllm.yaml's text, parsed. Each service takes only its own sections, and only in those
are `${VAR}` and `${VAR:-default}` expanded (after parsing, so that a value can't change the document's
shape): the collector never holds a provider's key. LESSLLM_SECTION__FIELD wins over the document.
Every mistake becomes one ConfigError that names its key and, if one is near, the right one.
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from lessllm_shared.config import sections as s

Document = dict[str, Any]


class ConfigError(ValueError):
    """The configuration is wrong. The message has one line for each mistake."""


class Settings(BaseSettings):
    """What every service's settings have in common."""

    model_config = SettingsConfigDict(
        env_prefix="LESSLLM_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


class GatewaySettings(Settings):
    """What the gateway reads."""

    gateway: s.Gateway = s.Gateway()
    proxy: s.Proxy = s.Proxy()
    timeouts: s.Timeouts = s.Timeouts()
    pool: s.Pool = s.Pool()
    tls: s.Tls = s.Tls()
    retries: s.Retries = s.Retries()
    providers: dict[str, s.Provider] = {}
    models: dict[str, s.Model] = {}
    auth: s.Auth = s.Auth()
    sensitive_data: s.SensitiveData = s.SensitiveData()
    logging: s.Logging = s.Logging()
    collector: s.Collector = s.Collector()


class CollectorSettings(Settings):
    """What the collector reads."""

    logging: s.Logging = s.Logging()
    collector: s.Collector = s.Collector()
    cache: s.Cache = s.Cache()
    prices: dict[str, s.Price] = {}


class ClientSettings(Settings):
    """What `import lessllm` and the command line read."""

    server: s.Server | None = None
    gateway: s.Gateway = s.Gateway()
    logging: s.Logging = s.Logging()
    collector: s.Collector = s.Collector()


SettingsT = TypeVar("SettingsT", bound=Settings)

_ALL_SECTIONS = {
    name
    for settings in (GatewaySettings, CollectorSettings, ClientSettings)
    for name in settings.model_fields
}


def read_document(path: Path) -> Document:
    """The mapping in a YAML file. Raises ConfigError if it can't be read or is none."""
    try:
        return parse_document(path.read_text("utf-8"), source=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: can't be read: {error}") from None


def parse_document(text: str, *, source: str) -> Document:
    """The mapping in YAML text. Raises ConfigError."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        # Not the whole error: its context quotes the line, which may hold a key.
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise ConfigError(
            f'{source}{where}: {problem} (is a "${{VAR}}" inside braces missing its quotes?)'
        ) from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"{source}: must be a mapping of sections, not a {type(document).__name__}")
    return document


def load(
    settings: type[SettingsT], document: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> SettingsT:
    """The settings of one service. `document` is the whole configuration, all sections.

    Raises ConfigError with one line for each mistake. Values never show in it: they may be secrets.
    """
    problems = [
        f"{name}: unknown section{_nearest(name, _ALL_SECTIONS)}"
        for name in map(str, document)
        if name not in _ALL_SECTIONS
    ]
    own = {name: value for name, value in document.items() if name in settings.model_fields}
    expanded = expand(own, (), environ, problems)
    named = {problem.partition(":")[0] for problem in problems}  # an unset variable is no value too
    try:
        loaded = settings(**expanded)
    except ValidationError as error:
        described = (describe(settings, detail) for detail in error.errors(include_input=False))
        problems += [problem for problem in described if problem.partition(":")[0] not in named]
    else:
        if not problems:
            return loaded
    raise ConfigError("\n".join(problems))


_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def expand(value: Any, path: tuple[str, ...], environ: Mapping[str, str], problems: list[str]) -> Any:
    """The value with its `${VAR}`. What is not set is added to `problems`, by its path."""
    if isinstance(value, dict):
        return {str(k): expand(v, (*path, str(k)), environ, problems) for k, v in value.items()}
    if isinstance(value, list):
        return [expand(v, (*path, str(i)), environ, problems) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        name, default = match.groups()
        found: str | None = environ.get(name, default)
        if found is None:
            problems.append(
                f"{'.'.join(path)}: environment variable {name} is not set (${{{name}:-}} allows that)"
            )
            return ""
        return found

    return _VARIABLE.sub(replace, value)


def describe(settings: type[BaseModel], detail: ErrorDetails) -> str:
    """A mistake in a line: its key, what is wrong, and the nearest right one."""
    path = [str(part) for part in detail["loc"]]
    key = ".".join(path)
    if detail["type"] == "extra_forbidden":
        return f"{key}: unknown key{_nearest(path[-1], _keys_at(settings, path[:-1]))}"
    return f"{key}: {detail['msg'].removeprefix('Value error, ')}"


def _nearest(name: str, candidates: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(candidates), n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known here: {', '.join(sorted(candidates))}" if candidates else ""


def _keys_at(model: Any, path: list[str]) -> set[str]:
    """The field names that the model has at a path of field names, map keys and list indices."""
    models = [model]
    for part in path:
        models = [inner for m in models for inner in _models_in(_field_type(m, part))] or models
    return {name for m in models for name in m.model_fields}


def _field_type(model: type[BaseModel], name: str) -> Any:
    field = model.model_fields.get(name)
    return None if field is None else field.annotation


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
