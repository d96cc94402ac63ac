"""README.zh-CN.md says in Chinese what README.md says: the same commands, the same pages."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENGLISH, CHINESE = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md"))


def commands(text):
    """The code blocks' lines without their comments."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [line.partition("#")[0].rstrip() for block in blocks for line in block.splitlines()]


def links(text):
    return {target for target in re.findall(r"\]\(([^)]+)\)", text) if not target.startswith("README")}


def test_the_commands_are_the_same():
    assert commands(CHINESE) == commands(ENGLISH)


def test_they_lead_to_the_same_pages_and_all_of_those_are_there():
    assert links(CHINESE) == links(ENGLISH)
    assert all((ROOT / target).exists() for target in links(ENGLISH))


def test_there_is_a_chapter_for_a_chapter():
    assert CHINESE.count("\n## ") == ENGLISH.count("\n## ")
