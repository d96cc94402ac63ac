"""Client keys from the file that `auth.keys_file` names: read at the start, and again when it changes."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from lessllm_shared.config.load import ConfigError, describe, expand, read_document
from lessllm_shared.config.sections import Auth, Key, KeysFile


def read_keys(auth: Auth, environ: Mapping[str, str] = os.environ) -> tuple[Key, ...]:
    """All keys, those of the configuration first. Raises ConfigError; no key ever shows in it."""
    if auth.keys_file is None:
        return auth.keys
    found = _keys_in(auth.keys_file, environ)
    try:
        return KeysFile(keys=(*auth.keys, *found)).keys
    except ValidationError as error:
        reason = describe(KeysFile, error.errors(include_input=False)[0])
        raise ConfigError(f"{auth.keys_file}, together with auth.keys: {reason}") from None


def _keys_in(path: Path, environ: Mapping[str, str]) -> tuple[Key, ...]:
    problems: list[str] = []
    expanded = expand(read_document(path), (), environ, problems)
    if not problems:
        try:
            return KeysFile.model_validate(expanded).keys
        except ValidationError as error:
            problems = [describe(KeysFile, detail) for detail in error.errors(include_input=False)]
    raise ConfigError("\n".join(f"{path}: {problem}" for problem in problems))
