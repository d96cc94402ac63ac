"""Charts drawn on the server: figures in, markup out, in which every text is escaped.

SVG that needs no script and no inline style: colours and dashes are classes (static/charts.css), places are
per cent, so that a chart is as wide as its place and its text as large as the page's. What can be a table of
bars is one. None is unknown: a gap, never 0. Each chart says in text what it shows, or has its data below.
"""

from lessllm_collector.console.charts.bars import Bar, bars
from lessllm_collector.console.charts.lines import Series, columns, lines
from lessllm_collector.console.charts.strips import Strip, strips
from lessllm_collector.console.charts.waterfall import Span, waterfall
from lessllm_collector.console.charts.words import Words

__all__ = [
    "Bar",
    "Series",
    "Span",
    "Strip",
    "Words",
    "bars",
    "columns",
    "lines",
    "strips",
    "waterfall",
]
