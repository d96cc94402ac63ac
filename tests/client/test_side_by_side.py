"""Two answers side by side, and the text of an answer."""

import io

import pytest
from lessllm import side_by_side, tables
from lessllm_shared.answer_text import answer_text
from rich.console import Console

TITLES = ("recorded", "replay")


def drawn(left, right, width=80):
    return tables.as_text(side_by_side.draw(TITLES, (left, right), width), width)


def coloured(left, right):
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    console.print(side_by_side.draw(TITLES, (left, right), 80))
    return console.file.getvalue()


def test_equal_lines_stand_beside_each_other_whatever_is_between_them():
    shown = drawn("one\ntwo\nthree", "one\nthree\nfour").splitlines()
    assert [[cell.strip() for cell in line.split("│")] for line in shown if "│" in line] == [
        ["recorded", "replay"],
        ["one", "one"],
        ["two", ""],
        ["three", "three"],
        ["", "four"],
    ]


def test_words_that_differ_are_in_colour_if_lines_are_alike():
    text = coloured("The order is at the depot near you.", "The order was at the depot near you.")
    assert "\x1b[31mis\x1b[0m" in text
    assert "\x1b[32mwas\x1b[0m" in text
    assert "\x1b[31m" not in coloured("Nothing is like it.", "Other words entirely, all of them.")


@pytest.mark.parametrize("width", [40, tables.UNLIMITED])
def test_without_room_or_terminal_one_stands_below_the_other(width):
    assert drawn("a", "b", width).splitlines() == ["recorded", "a", "", "replay", "b"]


def test_nothing_in_a_text_moves_the_cursor():
    assert "\x1b" not in drawn("\x1b[2J", "[bold]")
    assert "[bold]" in drawn("\x1b[2J", "[bold]")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            {"choices": [{"message": {"content": "Hi"}}, {"message": {"content": None, "refusal": "No"}}]},
            "Hi\nNo",
        ),
        (
            {"choices": [{"message": {"tool_calls": [{"function": {"name": "f", "arguments": '{"a":1}'}}]}}]},
            '→ f({"a":1})',
        ),
        ({"choices": [{"text": "and so on"}]}, "and so on"),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": "Hm"},
                    {"type": "text", "text": "Hi"},
                    {"type": "tool_use", "name": "f", "input": {"a": 1}},
                ]
            },
            'Hi\n→ f({"a": 1})',
        ),
        (
            {
                "output": [
                    {"type": "reasoning", "summary": []},
                    {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]},
                    {"type": "function_call", "name": "f", "arguments": "{}"},
                ]
            },
            "Hi\n→ f({})",
        ),
        (
            {"candidates": [{"content": {"parts": [{"text": "Hm", "thought": True}, {"text": "Hi"}]}}]},
            "Hi",
        ),
        ({"data": [{"embedding": [0.1, 0.2]}]}, "(1 embedding of 2 numbers)"),
        ({"error": {"message": "no"}}, None),
        (None, None),
        ([1], None),
        (
            {"choices": [None, {"message": "?"}], "content": [1], "output": 3, "candidates": {}, "data": "x"},
            None,
        ),
        ("<html>", "<html>"),
    ],
)
def test_what_was_said_is_found_in_every_format(answer, text):
    assert answer_text(answer) == text
