"""Tables and figures for people."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm import tables
from lessllm_shared import figures


def lines(names, rows, width, **options):
    return tables.as_text(tables.of_values(names, rows, width, **options), width).splitlines()


def test_numbers_stand_at_the_right_and_texts_at_the_left():
    assert lines(["model", "calls"], [["gpt", 3], ["claude-sonnet", 12]], 80)[2:] == [
        "gpt                3",
        "claude-sonnet     12",
    ]


def test_long_text_is_folded_not_cut():
    rows = [["x" * 30 + "y" * 30, 5]]
    shown = lines(["text", "n"], rows, 40)
    assert "".join(line.split()[0] for line in shown[2:]) == "x" * 30 + "y" * 30


def test_text_is_never_markup():
    assert "[bold]" in lines(["text"], [["[bold]x[/bold]"]], 80)[2]


def test_into_a_pipe_a_row_is_a_line():
    shown = tables.as_text(tables.of_values(["text"], [["x" * 3000]], tables.UNLIMITED), None)
    assert shown.splitlines()[2] == "x" * 3000


@given(
    st.lists(st.lists(st.integers(-(10**12), 10**12), min_size=3, max_size=3), min_size=1, max_size=4),
    st.integers(40, 200),
)
def test_no_number_is_ever_cut(rows, width):
    names = ["input_tokens", "output_tokens", "total"]
    shown = "\n".join(lines(names, rows, width))
    for row in rows:
        for name, number in zip(names, row, strict=True):
            assert figures.cell(number, name) in shown


@given(st.text())
def test_what_came_over_the_network_can_not_move_the_cursor(text):
    assert figures.printable(text).isprintable()
    assert len(figures.printable(text)) == len(text)


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (None, figures.NULL),
        (0.0, "$0"),
        (0.0000123, "$0.0000123"),
        (0.0123, "$0.0123"),
        (12.345, "$12.35"),
        (1234.5, "$1,234"),
        (-0.5, "-$0.500"),
    ],
)
def test_money_has_about_three_digits_that_mean_something(usd, shown):
    assert figures.money(usd) == shown


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (None, figures.NULL),
        (0.0, "0 ms"),
        (0.354, "0.354 ms"),
        (412.4, "412 ms"),
        (3210, "3.21 s"),
        (125_000, "2 min 5 s"),
    ],
)
def test_times_have_the_unit_that_fits(ms, shown):
    assert figures.milliseconds(ms) == shown


@pytest.mark.parametrize(
    ("value", "column", "shown"),
    [
        (None, "", figures.NULL),
        (2026, "", "2026"),
        (10_000, "", "10,000"),
        (2026, "input_tokens", "2,026"),
        (True, "", "True"),
        (0.1, "cost_usd", "$0.100"),
        (0.1, "", "0.100"),
        (b"abc", "", "<3 bytes>"),
        ({"a": "ä"}, "", '{"a": "ä"}'),
        ("a\nb\x1b[31m", "", "a b�[31m"),
        (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "", "2026-01-02 03:04:05.000+00:00"),
    ],
)
def test_any_value_is_one_line(value, column, shown):
    assert figures.cell(value, column) == shown


def test_shares_sizes_and_counts_have_separators_and_units():
    assert figures.percent(0.1234) == "12.3%"
    assert figures.count(1234567) == "1,234,567"
    assert [figures.size(n) for n in (999, 12_345, 5_000_000, 2_340_000_000)] == [
        "999 B",
        "12.3 KB",
        "5 MB",
        "2.34 GB",
    ]
    assert figures.percent(None) == figures.count(None) == figures.moment(None) == figures.NULL


@pytest.mark.parametrize(
    ("low", "high", "both"),
    [
        ("380 ms", "412 ms", "380-412 ms"),
        ("980 ms", "1.20 s", "980 ms-1.20 s"),
        ("$0.0012", "$0.0015", "$0.0012-0.0015"),
        ("0.0%", "80.1%", "0.0-80.1%"),
        ("12", "1,345", "12-1,345"),
        ("7 ms", "7 ms", "7 ms"),
        (figures.NULL, figures.NULL, figures.NULL),
    ],
)
def test_a_range_names_its_unit_once(low, high, both):
    assert figures.between(low, high) == both
