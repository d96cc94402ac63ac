"""Arrow from the collector → a table of types that people expect.

The only module that imports pyarrow, and itself imported only when a result arrives: pyarrow takes as
long to import as everything else together.
"""

from contextlib import suppress

import pyarrow as pa

from lessllm.columns import distinct


def read(content: bytes) -> pa.Table:
    """The table in an Arrow stream."""
    table = pa.ipc.open_stream(content).read_all()
    for index, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type) and field.type.scale == 0:
            with suppress(pa.ArrowInvalid):  # beyond 64 bits: stays a Decimal
                # SUM over integers is 128 bits wide in DuckDB and would come out as Decimal.
                column = table.column(index).cast(pa.int64())
                table = table.set_column(index, field.name, column)
    return table.rename_columns(distinct(table.column_names))
