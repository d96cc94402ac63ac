"""The kinds of sensitive data, from kinds.toml: their names, in two groups."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

TABLE: Mapping[str, Mapping[str, Any]] = tomllib.loads(
    files(__package__).joinpath("kinds.toml").read_text("utf-8")
)

SECRETS = tuple(dict.fromkeys(kind for group in ("secret", "after", "form") for kind in TABLE[group]))
PERSONAL = tuple(TABLE["personal"])
KINDS = (*SECRETS, *PERSONAL)
GROUPS: Mapping[str, tuple[str, ...]] = {"secrets": SECRETS, "personal": PERSONAL}
UNCHECKED = "unchecked"  # what may hold any of them
