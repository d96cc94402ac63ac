"""A query's result as JSON, CSV, an Arrow stream or Parquet: Arrow batches in, pieces of bytes out.

JSON and CSV hold what every reader understands. Timestamps are ISO 8601, with Z where the type has a time
zone; BLOBs are base64; NaN and infinity are null; intervals are ISO 8601 durations; a DECIMAL or HUGEINT is a
number if a 64-bit integer or 15 digits hold it, else a text with all its digits. JSON columns stay text.
"""

import base64
import csv
import io
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from lessllm_collector.query import Result

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"

_INT64 = range(-(2**63), 2**63)
_FLOAT_DIGITS = 15  # that a double keeps

Make = Callable[[Any], Any]
_encode = msgspec.json.Encoder().encode


def encode(media_type: str, result: Result) -> list[bytes]:
    """The whole answer's body."""
    return list(_WRITERS[media_type](result))


def accepted(accept: str) -> str | None:
    """The format that an Accept header wants most, None if it wants none of them."""
    best, best_quality = None, 0.0
    for part in accept.split(","):
        media_range, *parameters = (item.strip().lower() for item in part.split(";"))
        quality = next((_quality(p[2:]) for p in parameters if p.startswith("q=")), 1.0)
        for media_type in _WRITERS:
            if quality > best_quality and _matches(media_range, media_type):
                best, best_quality = media_type, quality
                break
    return best


def records(result: Result) -> list[dict[str, Any]]:
    """A result of few rows as dicts, with values as JSON has them."""
    return [
        dict(zip(result.schema.names, row, strict=True))
        for batch in result.batches
        for row in zip(*map(values, batch.columns), strict=True)
    ]


def values(column: pa.Array) -> list[Any]:
    """Its values as JSON has them."""
    kind, make = _readable(column.type)
    simple = column.cast(_without_zones(column.type)).cast(kind) if kind != column.type else column
    items: list[Any] = simple.to_pylist()
    return items if make is None else [None if item is None else make(item) for item in items]


def _json(result: Result) -> Iterator[bytes]:
    names = result.schema.names
    columns = [{"name": name, "type": kind} for name, kind in zip(names, result.types, strict=True)]
    yield b'{"columns":' + _encode(columns) + b',"rows":['
    for number, batch in enumerate(result.batches):
        rows = list(zip(*map(values, batch.columns), strict=True))
        yield (b"," if number else b"") + _encode(rows)[1:-1]
    rest = {"truncated": result.truncated, "elapsed_ms": round(result.elapsed_ms, 3)}
    yield b"]," + _encode(rest)[1:]


def _csv(result: Result) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")  # as DuckDB, psql and pandas write it: shells read it
    writer.writerow(result.schema.names)
    for batch in result.batches:
        writer.writerows(zip(*([_cell(item) for item in values(c)] for c in batch.columns), strict=True))
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
    yield text.getvalue().encode()


def _arrow(result: Result) -> Iterator[bytes]:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, result.schema) as writer:
        for batch in result.batches:
            writer.write_batch(batch)
            yield sink.getvalue()
            sink.seek(0)
            sink.truncate()
    yield sink.getvalue()


def _parquet(result: Result) -> Iterator[bytes]:
    table = pa.Table.from_batches(result.batches, result.schema)
    for index, field in enumerate(table.schema):
        if pa.types.is_interval(field.type):  # Parquet has none
            durations = pa.array(
                [item for chunk in table.column(index).chunks for item in values(chunk)], pa.string()
            )
            table = table.set_column(index, field.name, durations)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    yield sink.getvalue()


def _readable(kind: pa.DataType) -> tuple[pa.DataType, Make | None]:
    """The Arrow type to cast to, and what to make of its values in Python. None: nothing."""
    if pa.types.is_timestamp(kind):
        return pa.string(), _moment if kind.tz is None else _moment_utc
    if pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_dictionary(kind):
        return pa.string(), None
    if pa.types.is_list(kind):
        item, make = _readable(kind.value_type)
        return pa.list_(item), None if make is None else lambda items: _each(make, items)
    if pa.types.is_struct(kind):
        members = {field.name: _readable(field.type) for field in kind}
        struct = pa.struct([(name, member) for name, (member, _) in members.items()])
        makes = {name: make for name, (_, make) in members.items() if make}
        return struct, (lambda item: {k: _one(makes.get(k), v) for k, v in item.items()}) if makes else None
    if pa.types.is_map(kind):
        (key, make_key), (item, make_item) = _readable(kind.key_type), _readable(kind.item_type)
        return pa.map_(key, item), lambda pairs: {
            _cell(_one(make_key, k)): _one(make_item, v) for k, v in pairs
        }
    return kind, _MAKES.get(kind.id)


def _without_zones(kind: pa.DataType) -> pa.DataType:
    """Arrow needs a time zone database to print what has a zone; the numbers are UTC either way."""
    if pa.types.is_timestamp(kind):
        return pa.timestamp(kind.unit)
    if pa.types.is_list(kind):
        return pa.list_(_without_zones(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _without_zones(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_without_zones(kind.key_type), _without_zones(kind.item_type))
    return kind


def _each(make: Make, items: list[Any]) -> list[Any]:
    return [_one(make, item) for item in items]


def _one(make: Make | None, item: Any) -> Any:
    return item if make is None or item is None else make(item)


def _moment(text: str) -> str:
    return text.replace(" ", "T", 1)


def _moment_utc(text: str) -> str:
    return f"{_moment(text)}Z"


def _number(value: Decimal) -> int | float | str:
    _, digits, exponent = value.as_tuple()
    if exponent == 0:
        return int(value) if int(value) in _INT64 else str(value)
    return float(value) if len(digits) <= _FLOAT_DIGITS else str(value)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _duration(value: Any) -> str:
    """P14M3DT14706.5S: as DuckDB keeps it, since a month has no fixed number of days."""
    months, days, nanoseconds = value
    seconds = f"{Decimal(nanoseconds) / 10**9:f}"
    return f"P{months}M{days}DT{seconds}S"


def _cell(value: Any) -> str:
    """A value of JSON as one text."""
    if value is None or isinstance(value, str):
        return value or ""
    return _encode(value).decode().removeprefix("null")


def _matches(media_range: str, media_type: str) -> bool:
    family = media_type.partition("/")[0]
    return media_range in ("*/*", f"{family}/*", media_type)


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


_WRITERS: dict[str, Callable[[Result], Iterator[bytes]]] = {
    JSON: _json,
    CSV: _csv,
    ARROW: _arrow,
    PARQUET: _parquet,
}
MEDIA_TYPES = tuple(_WRITERS)
_MAKES: dict[int, Make] = {
    pa.decimal128(1).id: _number,
    pa.binary().id: _text,
    pa.month_day_nano_interval().id: _duration,
}
