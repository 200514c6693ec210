"""What a PromQL query asks for, held against what there is: metrics, labels, values of labels.

promtool says whether a query parses; it cannot say that a metric has no such label, and such a
query is never wrong, it is empty for ever. Here the query is walked from its parsed form, and each
step must find its labels: a matcher in its metric, `by (...)` in what is aggregated, `le` in what
becomes a quantile, the same labels on both sides of a division.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import promql_parser as ast

SCRAPED = frozenset({"job", "instance"})
"""Labels that Prometheus adds to everything it scrapes."""

_ON_THE_LEFT = ("and", "unless")
_KEPT = ("topk", "bottomk", "limitk")
_MATCHES = re.compile(r"label_values\((?P<query>.+), (?P<label>\w+)\)")


@dataclass
class Known:
    """What may be asked: the labels of each metric, and the values of labels that are known."""

    labels: Mapping[str, frozenset[str]]
    values: Mapping[str, frozenset[str]] = field(default_factory=dict)


class _Walk:
    """One query; gathers what is wrong."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self.faults: list[str] = []

    def labels(self, node: object) -> frozenset[str] | None:
        """The labels of what a part of the query gives; None for a number or a text."""
        if isinstance(node, ast.VectorSelector):
            return self._selected(node)
        if isinstance(node, ast.MatrixSelector):
            return self._selected(node.vector_selector)
        if isinstance(node, ast.AggregateExpr):
            return self._aggregated(node)
        if isinstance(node, ast.Call):
            return self._called(node)
        if isinstance(node, ast.BinaryExpr):
            return self._combined(node)
        if isinstance(node, ast.ParenExpr | ast.UnaryExpr | ast.SubqueryExpr):
            return self.labels(node.expr)
        return None

    def _need(self, wanted: set[str], there: frozenset[str], where: str) -> None:
        if missing := sorted(wanted - there):
            self.faults.append(f"{where} has no label {', '.join(missing)}")

    def _selected(self, node: ast.VectorSelector) -> frozenset[str]:
        name = node.name or ""
        if name not in self._known.labels:
            self.faults.append(f"there is no metric {name!r}")
            return frozenset()
        there = self._known.labels[name]
        for matcher in node.matchers.matchers:
            self._need({matcher.name}, there, name)
            self._match(matcher)
        return there

    def _match(self, matcher: ast.Matcher) -> None:
        """Each word of `a|b|c` must be a value the label can have."""
        values = self._known.values.get(matcher.name)
        if values is None:
            return
        words = matcher.value.split("|") if "Re" in str(matcher.op) else [re.escape(matcher.value)]
        for word in words:
            if not any(re.fullmatch(word, value) for value in values):
                self.faults.append(f"{matcher.name} is never {word!r}")

    def _aggregated(self, node: ast.AggregateExpr) -> frozenset[str]:
        there = self.labels(node.expr) or frozenset()
        named = set(node.modifier.labels) if node.modifier else set()
        self._need(named, there, f"what {node.op} aggregates")
        if str(node.op) in _KEPT:
            return there
        without = node.modifier and "Without" in str(node.modifier.type)
        return there - named if without else frozenset(named)

    def _called(self, node: ast.Call) -> frozenset[str] | None:
        found = [self.labels(argument) for argument in node.args]
        vectors = [labels for labels in found if labels is not None]
        there = vectors[0] if vectors else None
        name = node.func.name
        if name == "histogram_quantile":
            self._need({"le"}, there or frozenset(), "what becomes a quantile")
            return (there or frozenset()) - {"le"}
        if name == "label_replace":
            _, target, _, source, _ = (getattr(argument, "val", "") for argument in node.args)
            self._need({source} - {""}, there or frozenset(), "what label_replace reads")
            return (there or frozenset()) | {target}
        return frozenset() if name in ("absent", "vector") else there

    def _combined(self, node: ast.BinaryExpr) -> frozenset[str] | None:
        left, right = self.labels(node.lhs), self.labels(node.rhs)
        if left is None or right is None:
            return right if left is None else left
        operator = str(node.op)
        if operator == "or":
            return left | right
        matching = node.modifier.matching if node.modifier else None
        if matching is None and left != right and (left or right):
            self.faults.append(f"{operator} never meets: {sorted(left)} and {sorted(right)}")
        return left


def faults(query: str, known: Known) -> list[str]:
    """What is wrong with a query; empty when all of it exists."""
    return examine(query, known)[1]


def examine(query: str, known: Known) -> tuple[frozenset[str], list[str]]:
    """The labels of what a query gives, and what is wrong with it."""
    try:
        parsed = ast.parse(query)
    except ValueError as error:
        return frozenset(), [f"does not parse: {error}"]
    walk = _Walk(known)
    labels = walk.labels(parsed) or frozenset()
    return labels, walk.faults


def legend_faults(legend: str, labels: frozenset[str]) -> Iterator[str]:
    """Labels that a legend or an annotation shows and the query does not give."""
    for in_annotation, in_legend in re.findall(r"\$labels\.(\w+)|\{\{(\w+)\}\}", legend):
        name = in_annotation or in_legend
        if name not in labels:
            yield f"the legend shows {name}, and there is none"


def variable_faults(query: str, known: Known) -> list[str]:
    """What is wrong with the query of a template variable."""
    found = _MATCHES.fullmatch(query)
    if found is None:
        return [f"not label_values(metric, label): {query}"]
    labels, wrong = examine(found["query"], known)
    return wrong + ([] if found["label"] in labels else [f"no label {found['label']}"])
