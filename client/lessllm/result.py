"""QueryResult: the rows of a query, as a list of dicts that prints as a table.

An Arrow table enters, so that types are true: timestamps are datetimes in UTC, NULL is None. What is
needed to print (rich) is imported when something is printed, not with `import lessllm`.
"""

import html
import shutil
from typing import TYPE_CHECKING, Any

from lessllm_shared import figures

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_PRINTED_ROWS = 50
_LONGEST_CELL = 300


class QueryResult(list[dict[str, Any]]):
    """Rows of a query, one dict each. Prints as a table.

    `columns` are the names in order; `truncated` says that the limit on rows cut the answer short;
    `elapsed_ms` is the time that the query took in the database, None if unknown.
    """

    def __init__(
        self, table: "pa.Table", *, truncated: bool = False, elapsed_ms: float | None = None
    ) -> None:
        super().__init__(table.to_pylist())
        self._table = table
        self.columns: list[str] = list(table.column_names)
        self.truncated = truncated
        self.elapsed_ms = elapsed_ms

    def to_arrow(self) -> "pa.Table":
        """The result as a pyarrow Table."""
        return self._table

    def to_pandas(self) -> "pd.DataFrame":
        """The result as a pandas DataFrame. Needs pandas: `pip install "lessllm[pandas]"`."""
        return self._table.to_pandas()

    def __str__(self) -> str:
        from lessllm import tables  # noqa: PLC0415 - rich takes 0.1 s to import

        width = shutil.get_terminal_size().columns
        rows = [list(row.values()) for row in self[:_PRINTED_ROWS]]
        shown = tables.of_values(self.columns, rows, width, longest_cell=_LONGEST_CELL)
        return f"{tables.as_text(shown, width)}\n{self._footer()}"

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(f"<tr>{self._html_cells(row)}</tr>" for row in self[:_PRINTED_ROWS])
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f"<p>{html.escape(self._footer())}</p>"
        )

    def _html_cells(self, row: dict[str, Any]) -> str:
        return "".join(f"<td>{html.escape(figures.cell(row[name], name))}</td>" for name in self.columns)

    def _footer(self) -> str:
        rows = f"{len(self):,} row{'' if len(self) == 1 else 's'}"
        hidden = f", the first {_PRINTED_ROWS} shown" if len(self) > _PRINTED_ROWS else ""
        cut = ", cut short by the limit on rows" if self.truncated else ""
        return f"({rows}{hidden}{cut})"
