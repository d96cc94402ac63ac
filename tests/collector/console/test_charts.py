"""Charts as parsed markup: what is drawn where, what is a gap; nothing in it is ever broken or unescaped."""

import math
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lessllm_collector.console.charts import (
    Bar,
    Series,
    Span,
    Strip,
    Words,
    bars,
    columns,
    lines,
    scales,
    strips,
    waterfall,
)

WORDS = Words(nothing="Nothing", data="Data", time="Time")
T0 = datetime(2026, 11, 20, 7, tzinfo=UTC)
HOURS = [T0 + timedelta(hours=n) for n in range(5)]


def written(value):
    return "-" if value is None else f"{value:g}"


def parsed(markup):
    return ET.fromstring(f"<body>{markup}</body>")


def classed(tree, name):
    return [item for item in tree.iter() if name in item.get("class", "").split()]


def places(item, *names):
    return tuple(float(item.get(name).rstrip("%")) for name in names)


def test_a_line_is_interrupted_where_a_figure_is_unknown_and_never_falls_to_zero():
    drawn = lines("TTFT", HOURS, [Series("p50", [1, 2, None, math.nan, 4])], written, WORDS)
    (line,) = classed(parsed(drawn), "line")
    first, second = line.get("d").split("M")[1:]
    assert "L" in first and second.endswith("h0")  # two of them joined, then a point
    cells = [cell.text for row in parsed(drawn).iter("tr") for cell in row.iter("td")]
    assert cells == ["1", "2", "-", "nan", "4"]


def test_larger_figures_are_higher_and_later_ones_further_right():
    drawn = lines("", HOURS, [Series("a", [0, 1, 2, 3, 4])], written, WORDS)
    path = classed(parsed(drawn), "line")[0].get("d").replace("M", "").replace("L", "").split()
    xs, ys = [float(x) for x in path[::2]], [float(y) for y in path[1::2]]
    assert xs == [0, 250, 500, 750, 1000]
    assert ys == sorted(ys, reverse=True) and ys[0] > ys[-1]


def test_a_chart_has_a_name_a_description_and_a_legend_only_for_several_series():
    one, two = ([Series(name, [1, 2, 3, 4, 5]) for name in names] for names in (["p50"], ["p50", "p95"]))
    tree = parsed(lines("TTFT", HOURS, two, written, WORDS))
    image = next(item for item in tree.iter("svg") if item.get("role") == "img")
    assert [item.text for item in image[:2]] == ["TTFT", "p50: 1 … 5; p95: 1 … 5"]
    assert [item.text for item in tree.iter("bdi")] == ["p50", "p95"]
    assert not list(parsed(lines("TTFT", HOURS, one, written, WORDS)).iter("bdi"))


def test_a_band_lies_between_its_two_lines_where_both_are_known():
    series = [Series("p50", [1, 1, None, 1, 1]), Series("p95", [3, 3, 3, 3, None])]
    (band,) = classed(parsed(lines("", HOURS, series, written, WORDS, band=(0, 1))), "band")
    assert [len(area.split("L")) for area in band.get("d").split("M")[1:]] == [4, 2]


def test_columns_stand_on_each_other():
    series = [Series("a", [1, 0, 2]), Series("b", [2, None, 2])]
    tree = parsed(columns("", HOURS[:3], series, written, WORDS))
    (a, _, b, _) = (places(item, "x", "y", "height") for item in classed(tree, "area")[:4])
    assert a[0] == b[0] or a[1] > b[1]
    lower = {places(item, "x")[0]: places(item, "y", "height") for item in classed(tree, "s1")[:2]}
    upper = {places(item, "x")[0]: places(item, "y", "height") for item in classed(tree, "s2")[:2]}
    for x, (y, _) in lower.items():
        assert sum(upper[x]) == pytest.approx(y, abs=0.02)


def test_bars_are_in_proportion_and_parts_follow_each_other():
    rows = [Bar("x", [2.0, 2.0]), Bar("y", [1.0, None]), Bar("z", [None, None])]
    tree = parsed(bars("", rows, written, WORDS, parts=["in", "out"]))
    drawn = [places(item, "x", "width") for item in tree.iter("rect") if item.get("x")]
    assert drawn == [(0, 50), (50, 50), (0, 25)]
    assert [cell.text for cell in classed(tree, "number")] == ["4", "1", "-"]
    assert [cell.text for cell in classed(tree, "unseen")] == ["in 2, out 2", "in 1, out -", "in -, out -"]


def test_what_was_lost_goes_to_the_left_of_zero():
    tree = parsed(bars("", [Bar("x", [3.0]), Bar("y", [-1.0])], written, WORDS))
    assert [places(item, "x", "width") for item in tree.iter("rect")] == [(25, 75), (0, 25)]


def test_a_strip_is_highest_where_most_figures_are_and_marks_its_percentiles():
    row = Strip("m", [1, 4, 0], {"p50": 20.0, "p99": None})
    tree = parsed(strips("", [1, 10, 100, 1000], [row], written, WORDS, total="Calls"))
    outline = classed(tree, "area")[0].get("d").replace("M", "L").rstrip("Z").split("L")[1:]
    heights = [float(point.split()[1]) for point in outline]
    assert heights[3] == min(heights) == 1.0 and heights[5] == 36
    assert len(classed(tree, "mark")) == 1
    assert [cell.text for cell in tree.find(".//tbody").iter("td")][1:] == ["20", "-", "5"]


def test_a_waterfall_lays_spans_along_one_time_and_shows_moments_as_such():
    spans = [
        Span("dns", 0, 25, "connect"),
        Span("first token", 50, 50, "moment"),
        Span("receive", 25, 100, "receive", ticks=[50, 50.0001, 75]),
    ]
    tree = parsed(waterfall("", spans, written, WORDS))
    assert [places(item, "x", "width") for item in tree.iter("rect")] == [(0, 25), (25, 75)]
    assert [places(item, "x1")[0] for item in classed(tree, "tick")] == [50, 75]
    assert [places(item, "x1")[0] for item in classed(tree, "moment")] == [50]
    assert [cell.text for cell in classed(tree, "number")] == ["25", "50", "75"]


def test_the_shortest_span_can_be_seen_and_stays_within():
    spans = [Span("a", 0, 1000, "wait"), Span("b", 999.999, 1000, "wait")]
    *_, last = parsed(waterfall("", spans, written, WORDS)).iter("rect")
    x, width = places(last, "x", "width")
    assert width > 0.1 and x + width <= 100


@pytest.mark.parametrize(
    "empty",
    [
        lines("c", [], [], written, WORDS),
        lines("c", HOURS[:1], [Series("a", [None])], written, WORDS),
        columns("c", [], [Series("a", [])], written, WORDS),
        bars("c", [], written, WORDS),
        strips("c", [1, 2], [Strip("m", [0], {})], written, WORDS, total=""),
        waterfall("c", [], written, WORDS),
    ],
)
def test_without_data_a_chart_says_so(empty):
    assert [item.text for item in parsed(empty).iter() if item.tag in {"figcaption", "p"}] == ["c", "Nothing"]


def test_axes_have_round_figures():
    assert list(scales.linear([3, 97]).ticks) == [0, 50, 100]
    assert list(scales.linear([0.0031]).ticks) == pytest.approx([0, 0.001, 0.002, 0.003, 0.004])
    assert list(scales.logarithmic([13, 870]).ticks) == [10, 20, 50, 100, 200, 500, 1000]
    days = [label for _, label in scales.moments(T0, T0 + timedelta(days=3))]
    assert days == ["12:00", "11-21", "12:00", "11-22", "12:00", "11-23"]


FIGURES = st.one_of(st.none(), st.floats(), st.integers(-(10**6), 10**6))
NAMES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["<svg/onload=alert(1)>", "\"' onload=x", "]]>", "\u202egpj.exe", "\ud800", "{{7*7}}", "\0"]
    ),
)


@given(NAMES, st.lists(FIGURES, min_size=1, max_size=4), st.integers(0, 10**8))
@settings(deadline=None, max_examples=100)
def test_whatever_goes_in_the_markup_is_whole_and_holds_it_as_text_only(name, values, step_s):
    times = [T0 + timedelta(seconds=step_s * number) for number in range(len(values))]
    series = [Series(name, values), Series("b", values[::-1])]
    known = [value for value in values if value is not None]
    spans = [Span(name, a, b, "wait", ticks=known, note=name) for a in known for b in known]
    counts = [abs(int(value)) if value in range(-9, 9) else 7 for value in values]
    edges = [10.0 * 1.5**number for number in range(len(values) + 1)]
    drawn = [
        lines(name, times, series, written, WORDS, band=(0, 1)),
        columns(name, times, series, written, WORDS),
        bars(name, [Bar(name, values, link=f"?model={name}")], written, WORDS, parts=[name] * len(values)),
        strips(name, edges, [Strip(name, counts, {name: values[0]})], written, WORDS, total=name),
        waterfall(name, spans, written, WORDS),
    ]
    for markup in drawn:
        items = list(parsed(markup).iter())
        assert {item.tag for item in items} <= TAGS
        attributes = [pair for item in items for pair in item.attrib.items() if pair[0] != "href"]
        assert not [key for key, _ in attributes if key.startswith("on") or key == "style"]
        assert not [value for _, value in attributes if "nan" in value or "inf" in value]
        assert "\u202e" not in markup


TAGS = {
    *(
        "body",
        "figure",
        "figcaption",
        "svg",
        "title",
        "desc",
        "path",
        "rect",
        "line",
        "text",
        "ul",
        "li",
        "bdi",
    ),
    *("details", "summary", "div", "table", "thead", "tbody", "tr", "th", "td", "a", "p", "span", "small"),
}
