"""Judging a user's SQL before it runs: text in, nothing out, or a Refusal that says what to write instead.

DuckDB itself parses the text to a tree. Only what is known to be harmless in it passes: one SELECT over
`api_calls` and the views beside it, with functions and types that are allowed, and of a size that is planned
in time, since the planner heeds no interrupt. What can still grow while it runs, such as `||`, is the
watchdog's matter.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

import duckdb

from lessllm_collector.allowed import check_function, check_table_function, check_type, folded
from lessllm_collector.errors import Refusal
from lessllm_collector.reports import VIEWS
from lessllm_collector.schema import COLUMNS, GAP_COLUMNS

MAX_BYTES = 64 * 1024
# Each bound is where DuckDB 1.5 still plans in well under a second; a step further on, time doubles.
MAX_DEPTH = 150  # nested expressions: 300 terms take 0.15 s, 990 take 4 s
MAX_RELATIONS = 40  # a CTE counts at each use: 50 joins take 0.4 s, 64 take 1.4 s, 200 more than 12 s
MAX_COLUMNS = 1000  # SELECT *, * in nested subqueries doubles them, bodies too
MAX_TERMS = 20_000  # an alias used in its own SELECT is copied: a+a AS b, b+b AS c, …

_INSTEAD = "start with SELECT, WITH, FROM or VALUES, or list the columns with DESCRIBE api_calls"

Node = dict[str, Any]


@dataclass(frozen=True)
class _Size:
    """What a relation costs the planner."""

    relations: int
    columns: int

    def __add__(self, other: "_Size") -> "_Size":
        return _Size(self.relations + other.relations, self.columns + other.columns)


@dataclass(frozen=True)
class _Scope:
    """What is visible at a place: names of CTEs, and aliases with the number of terms they stand for."""

    ctes: Mapping[str, _Size] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    depth: int = 0

    def deeper(self) -> "_Scope":
        if self.depth >= MAX_DEPTH:
            raise _too_deep()
        return replace(self, depth=self.depth + 1)

    def with_cte(self, name: str, size: _Size) -> "_Scope":
        return replace(self, ctes={**self.ctes, folded(name): size})

    def with_alias(self, name: str, terms: int) -> "_Scope":
        return replace(self, aliases={**self.aliases, folded(name): terms}) if name else self


def judge(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Returns if `sql` may run. Raises Refusal if not, duckdb.Error if the parser itself fails.

    `connection` is to the database that will run it: the tree's form depends on its storage version.
    """
    try:
        _Judge().query(_parsed(connection, sql), _Scope())
    except RecursionError:
        raise _too_deep() from None


def _parsed(connection: duckdb.DuckDBPyConnection, sql: str) -> Node:
    size_bytes = len(sql.encode("utf-8", "surrogatepass"))
    if size_bytes > MAX_BYTES:
        raise Refusal(
            400, "sql_too_long", f"the statement is longer than {MAX_BYTES // 1024} KB: pass values as params"
        )
    if "\0" in sql or size_bytes != len(sql.encode("utf-8", "ignore")):
        raise Refusal(400, "sql_error", "the statement holds characters that are no text")
    row = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    tree = json.loads(row[0] if row else "")
    if tree["error"]:
        raise _syntax_error(tree, sql)
    statements = tree["statements"]
    if len(statements) != 1:
        count = f"this has {len(statements)}" if statements else "this has none"
        raise Refusal(400, "one_statement", f"send exactly one statement; {count}: {_INSTEAD}")
    node: Node = statements[0]["node"]
    return node


class _Judge:
    """Walks one tree, and counts. What it does not know, it refuses."""

    def __init__(self) -> None:
        self._terms = 0
        self._stars = 0

    def query(self, node: Node, scope: _Scope) -> _Size:
        """A SELECT, or several put together."""
        scope = scope.deeper()
        for entry in node["cte_map"]["map"]:
            size = self.query(entry["value"]["query"]["node"], scope)
            self._expressions(entry["value"]["key_targets"], scope)
            scope = scope.with_cte(entry["key"], size)
        match node["type"]:
            case "SELECT_NODE":
                size = self._select(node, scope)
            case "SET_OPERATION_NODE":
                size = sum((self.query(child, scope) for child in node["children"]), _Size(0, 0))
            case "RECURSIVE_CTE_NODE":
                first = self.query(node["left"], scope)
                size = first + self.query(node["right"], scope.with_cte(node["cte_name"], first))
                self._expressions(node["key_targets"], scope)
            case kind:
                raise _unknown(kind)
        self._expressions(node["modifiers"], scope)
        return _bounded(size)

    def _select(self, node: Node, scope: _Scope) -> _Size:
        source = self._relation(node["from_table"], scope)
        columns = 0
        for item in node["select_list"]:
            terms, stars = self._terms, self._stars
            self._expressions(item, scope)
            columns += (self._stars - stars) * source.columns or 1
            scope = scope.with_alias(item["alias"], self._terms - terms)
        for clause in ("where_clause", "group_expressions", "having", "qualify", "modifiers"):
            self._expressions(node[clause], scope)
        return _Size(source.relations, columns)

    def _relation(self, node: Node, scope: _Scope) -> _Size:
        scope = scope.deeper()
        match node["type"]:
            case "BASE_TABLE":
                size = _base_table(node, scope)
            case "SUBQUERY":
                size = self.query(node["subquery"]["node"], scope)
            case "JOIN":
                size = self._relation(node["left"], scope) + self._relation(node["right"], scope)
                self._expressions(node["condition"], scope)
            case "TABLE_FUNCTION":
                check_table_function(node["function"])
                self._expressions(node["function"]["children"], scope)
                size = _Size(1, 8)  # json_each has the most
            case "EXPRESSION_LIST":
                self._expressions(node["values"], scope)
                size = _Size(1, len(node["values"][0]))
            case "EMPTY":
                size = _Size(0, 0)
            case "SHOW_REF" if node["query"] and node["show_type"] in ("DESCRIBE", "SUMMARY"):
                size = _Size(self.query(node["query"], scope).relations, 12)
            case kind:
                raise _unknown(kind)
        return size

    def _expressions(self, value: Any, scope: _Scope) -> None:
        """An expression, or what holds some: lists, modifiers, the branches of a CASE."""
        if isinstance(value, list):
            for item in value:
                self._expressions(item, scope)
        elif isinstance(value, dict):
            if "class" in value:
                self._expression(value, scope.deeper())
            elif value.get("type") in _HOLDERS:
                self._expressions(list(value.values()), scope)
            else:
                raise _unknown(value["type"])

    def _expression(self, node: Node, scope: _Scope) -> None:
        self._count(1)
        match node["class"]:
            case "CONSTANT":
                check_type(node["value"]["type"])
            case "COLUMN_REF":
                self._count(scope.aliases.get(folded(node["column_names"][0]), 0))
            case "CAST":
                check_type(node["cast_type"])
                self._expressions(node["child"], scope)
            case "SUBQUERY":
                self.query(node["subquery"]["node"], scope)
                self._expressions(node["child"], scope)
            case "STAR":
                self._stars += 1
                self._parts(node, scope)
            case "FUNCTION" | "WINDOW":
                check_function(node)
                self._parts(node, scope)
            case kind if kind in _PLAIN:
                self._parts(node, scope)
            case kind:
                raise _unknown(kind)

    def _parts(self, node: Node, scope: _Scope) -> None:
        self._expressions([part for part in node.values() if isinstance(part, list | dict)], scope)

    def _count(self, terms: int) -> None:
        self._terms += terms
        if self._terms > MAX_TERMS:
            raise _too_complex(f"has more than {MAX_TERMS:,} terms, aliases included")


def _base_table(node: Node, scope: _Scope) -> _Size:
    schema, name = folded(node["schema_name"]), folded(node["table_name"])
    if not node["catalog_name"] and node["at_clause"] is None:
        if schema in ("", "recurring") and name in scope.ctes:
            return scope.ctes[name]
        if schema in ("", "main") and name in _RELATIONS:
            return _RELATIONS[name]
    parts = (node["catalog_name"], node["schema_name"], node["table_name"])
    near = get_close_matches(name, (*scope.ctes, *_RELATIONS), 1)
    hint = f"did you mean {near[0]}?" if near else f"the tables are {_TABLES}"
    raise Refusal(400, "unknown_table", f'"{".".join(filter(None, parts))}" can\'t be queried: {hint}')


def _bounded(size: _Size) -> _Size:
    if size.relations > MAX_RELATIONS:
        raise _too_complex(f"reads tables more than {MAX_RELATIONS} times, CTEs counted at each use")
    if size.columns > MAX_COLUMNS:
        raise _too_complex(f"makes more than {MAX_COLUMNS:,} columns")
    return size


def _syntax_error(tree: Node, sql: str) -> Refusal:
    message = str(tree["error_message"])
    if tree["error_type"] == "not implemented" and "SELECT" in message:
        return Refusal(400, "read_only", f"only reading is allowed: {_INSTEAD}")
    if position := tree.get("position"):
        before = sql[: int(position)]
        message += f" (line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))})"
    return Refusal(400, "sql_error", message)


def _too_deep() -> Refusal:
    return _too_complex(f"is nested more than {MAX_DEPTH} levels deep")


def _too_complex(how: str) -> Refusal:
    return Refusal(400, "too_complex", f"the statement {how}")


def _unknown(kind: str) -> Refusal:
    message = _ADVICE.get(kind, f"{kind.replace('_', ' ').lower()} is not supported here")
    return Refusal(400, "not_allowed", message)


_RELATIONS = {
    "api_calls": _Size(1, len(COLUMNS)),
    "delivery_gaps": _Size(2, len(GAP_COLUMNS)),
    **{name: _Size(1, len(view.comments)) for name, view in VIEWS.items()},
}
_TABLES = ", ".join(_RELATIONS)
_PLAIN = {
    *("BETWEEN", "CASE", "COLLATE", "COMPARISON", "CONJUNCTION"),
    *("LAMBDA", "OPERATOR", "PARAMETER", "POSITIONAL_REFERENCE"),
}
_HOLDERS = {
    *(None, "DISTINCT_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "ORDER_MODIFIER"),
    *("ASCENDING", "DESCENDING", "ORDER_DEFAULT"),
}
_ADVICE = {
    "PIVOT": "PIVOT is not supported: write sum(…) FILTER (WHERE …) for each column",
    "SHOW_REF": f"the tables are {_TABLES}: DESCRIBE api_calls lists the columns of one",
}
