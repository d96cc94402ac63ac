"""Which recorded calls are meant → their requests, as they were sent.

Calls that were sent again themselves are left out unless they are named: the next comparison is to be of the
application's calls.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from lessllm.connection import JSON, Connection
from lessllm.rerun.request import ENDPOINTS, NotRepeatableError, Request, recorded_request


@dataclass(frozen=True)
class Selection:
    """The latest calls that pass all of it. `where` is a condition in SQL."""

    last: int
    where: str | None = None
    models: Sequence[str] = ()
    sessions: Sequence[str] = ()


def chosen_ids(asked: Connection, selection: Selection) -> list[str]:
    """The oldest first. Raises QueryError for a wrong condition."""
    conditions = [
        "list_contains($formats, api_format)",
        "coalesce(json_extract_string(tags, '$.replay_of'), json_extract_string(tags, '$.compare')) IS NULL",
    ]
    parameters: dict[str, object] = {"formats": [*ENDPOINTS], "last": selection.last}
    if selection.where is not None:
        conditions.append(f"({selection.where}\n)")  # a comment in it ends with its line
    for column, values in (("model", selection.models), ("session_id", selection.sessions)):
        if values:
            conditions.append(f"list_contains(${column}, {column})")
            parameters[column] = list(values)
    sql = (
        f"SELECT request_id FROM api_calls WHERE {' AND '.join(conditions)}"  # noqa: S608 - the collector judges it
        ' ORDER BY "timestamp" DESC LIMIT $last'
    )
    rows = json.loads(asked.query(sql, parameters, None, JSON).content)["rows"]
    return [str(row[0]) for row in reversed(rows)]


def requests_of(asked: Connection, request_ids: Sequence[str]) -> tuple[list[Request], list[str]]:
    """The requests of these calls, and why others can't be sent again."""
    requests: list[Request] = []
    refusals: list[str] = []
    for request_id in request_ids:
        try:
            requests.append(recorded_request(asked.call_content(request_id)))
        except NotRepeatableError as error:
            refusals.append(str(error))
    return requests, refusals
