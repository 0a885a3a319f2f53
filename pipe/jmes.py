"""JMESPath as expressions need it: exact numbers, named failures, a budget, and closures for what is simple.

`compiled` makes plain closures of dotted paths, literals, comparisons and calls; whatever else there is runs on
JMESPath's own interpreter. Both give the same answers: a property test holds them together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from jmespath import exceptions
from jmespath.functions import TYPES_MAP, Functions, signature
from jmespath.visitor import Options, TreeInterpreter

from pipe.functions import FUNCTIONS, MAX_TEXT, WrongValue, json, kind_of, plain_text

MAX_SIGNS = 64 << 20
"""signs of all texts in a result, a text counted as often as it stands there"""
MAX_VISITS = 1_000_000
"""nodes that one run may visit, and values that its result may hold"""

Node = Any
"""a node of jmespath's tree: a dict with type, children and sometimes value"""
Root = Any
"""whatever has `get(name)`, and `headers` under that name"""
Run = Callable[[Root], Any]


class Trouble(Exception):
    """A run failed: what is wrong, and at which path of the message, where that is known."""

    def __init__(self, text: str, path: str | None) -> None:
        super().__init__(text)
        self.text = text
        self.path = path


# --- the tree -------------------------------------------------------------------------------------------------------


def dotted(node: Node) -> str | None:
    """`body.a.b` for a node that is a plain path; None for any other."""
    if node["type"] == "field":
        return str(node["value"])
    if node["type"] in ("subexpression", "index_expression"):
        parts = [dotted(child) for child in node["children"] if child["type"] != "index"]
        return None if None in parts else ".".join(str(part) for part in parts)
    return None


def names(node: Node) -> list[str] | None:
    """The names of a plain path, one for each step into an object; None for any other node."""
    steps = node["children"] if node["type"] == "subexpression" else [node]
    return [step["value"] for step in steps] if all(step["type"] == "field" for step in steps) else None


def nodes(tree: Node) -> list[tuple[Node, int]]:
    """All nodes with their depth, the root first at 1."""
    found: list[tuple[Node, int]] = []
    waiting = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        found.append((node, depth))
        waiting.extend((child, depth + 1) for child in node["children"] if isinstance(child, dict))
    return found


def paths(tree: Node) -> set[str]:
    """The dotted paths that a tree reads from the root; lists on the way leave no mark: `body.items.sum`."""
    if tree["type"] == "function_expression" and tree["value"] == "header":
        name = tree["children"][0]
        return {f"headers.{name['value'].lower().replace('-', '_')}" if name["type"] == "literal" else "headers"}
    path, _ = _followed(tree, "")
    if path:
        return {path}
    inner = [child for child in tree["children"] if isinstance(child, dict)]
    if tree["type"] in _CHAINS:
        return paths(inner[0])
    return {path for child in inner if child["type"] != "expref" for path in paths(child)}


_CHAINS = {
    "subexpression",
    "index_expression",
    "pipe",
    "projection",
    "value_projection",
    "filter_projection",
    "flatten",
}


def _followed(node: Node, path: str) -> tuple[str, bool]:
    """The path after a node of a chain, and whether it can be followed further."""
    if node["type"] == "field":
        return f"{path}.{node['value']}".lstrip("."), True
    if node["type"] in ("index", "slice", "identity", "current"):
        return path, True
    if node["type"] not in _CHAINS:
        return path, False
    parts = node["children"]
    for child in parts[:2] if node["type"] == "filter_projection" else parts:
        path, more = _followed(child, path)
        if not more or not path:
            return path, False
    return path, True


def asks_part_of_not(node: Node) -> bool:
    """Whether it is what `!body.urgent` really says: the part `urgent` of `!body`, which never exists."""
    is_chain = node["type"] in _CHAINS and node["type"] != "pipe"
    return is_chain and node["children"][0]["type"] == "not_expression"


def arity(name: str) -> tuple[int, int | None] | None:
    """The least and most number of arguments of a function; None where there is no such function."""
    if ours := FUNCTIONS.get(name):
        return ours.least, ours.most
    if theirs := _Builtins.FUNCTION_TABLE.get(name):
        arguments = theirs["signature"]
        variadic = bool(arguments) and arguments[-1].get("variadic", False)
        return len(arguments), None if variadic else len(arguments)
    return None


def function_names() -> list[str]:
    """Every function that an expression may call."""
    return sorted({*FUNCTIONS, *_Builtins.FUNCTION_TABLE})


# --- values ---------------------------------------------------------------------------------------------------------


def field(value: Any, name: str) -> Any:
    """One step of a dotted path; null where the value has no such part."""
    if type(value) is dict:
        return value.get(name)
    if isinstance(value, bytes) or hasattr(value, "sha256"):
        raise WrongValue(f"cannot look for `{name}` in bytes: decode it first")
    return listed(value.get(name)) if hasattr(value, "get") else None


def reached(value: Any, path: Sequence[str]) -> Any:
    """What a plain path leads to from a value of the root. Raises WrongValue where it leads into bytes."""
    if type(value) is not dict:
        value = listed(value)
    for name in path:
        value = value.get(name) if type(value) is dict else field(value, name)
    return value


def listed(value: Any) -> Any:
    """A list of rows that are otherwise read as they are asked for: JMESPath knows lists only."""
    lazy = not isinstance(value, (list, str, bytes, dict)) and isinstance(value, Sequence)
    return list(value) if lazy else value


def is_false(value: Any) -> bool:
    """False in JMESPath's sense: null, false and what is empty. Zero is true."""
    return value is None or value is False or (isinstance(value, (str, list, Mapping)) and len(value) == 0)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def compare(sign: str, left: Any, right: Any) -> Any:
    """JMESPath's comparison, with 0.1 equal to an exact 0.10; text against number is an error, not a crash."""
    if type(left) is Decimal and type(right) is float:
        right = Decimal(repr(right))
    elif type(right) is Decimal and type(left) is float:
        left = Decimal(repr(left))
    decide = TreeInterpreter.COMPARATOR_FUNC[sign]
    if sign in ("eq", "ne"):
        return decide(left, right)
    numbers = _is_number(left) + _is_number(right)
    if numbers + isinstance(left, str) + isinstance(right, str) < 2:
        return None
    if numbers == 1:
        raise WrongValue(f"cannot order {kind_of(left)} and {kind_of(right)}: use to_int() or to_decimal()")
    return decide(left, right)


def count(value: Any) -> None:
    """Refuses more than MAX_VISITS values or MAX_SIGNS signs in a result: `[@, @] | [@, @]` doubles at each step."""
    left, signs = MAX_VISITS, MAX_SIGNS
    waiting = [value]
    while waiting:
        part = waiting.pop()
        left -= 1
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
        elif isinstance(part, (str, bytes)):
            signs -= len(part)
            if signs < 0:
                raise WrongValue(f"would make a text of more than {MAX_SIGNS} signs")
        if left < len(waiting):
            raise WrongValue(f"would make more than {MAX_VISITS} values")


# --- functions ------------------------------------------------------------------------------------------------------


class _Builtins(Functions):
    """JMESPath's own functions, for exact numbers too."""

    def _get_allowed_pytypes(self, types: Sequence[str]) -> tuple[list[str], list[tuple[str, ...]]]:
        allowed, inner = super()._get_allowed_pytypes(types)  # type: ignore[misc]
        if "float" in allowed:
            allowed.append("Decimal")
        return allowed, [(*kinds, "Decimal") if "float" in kinds else kinds for kinds in inner]

    def _convert_to_jmespath_type(self, pyobject: str) -> str:
        return "number" if pyobject == "Decimal" else TYPES_MAP.get(pyobject, "unknown")

    @signature({"types": []})
    def _func_type(self, arg: Any) -> str:
        return self._convert_to_jmespath_type(type(arg).__name__)

    @signature({"types": []})
    def _func_to_string(self, arg: Any) -> str:
        return plain_text(arg) if isinstance(arg, (str, int, float, Decimal)) else json(arg)

    @signature({"types": []})
    def _func_to_number(self, arg: Any) -> Any:
        try:
            return FUNCTIONS["to_decimal"].run(arg) if arg is not None else None
        except WrongValue:
            return None

    @signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_join(self, glue: str, parts: list[str]) -> str:
        if len(glue) * len(parts) > MAX_TEXT:
            raise WrongValue(f"would make a text of more than {MAX_TEXT} signs")
        return glue.join(parts)

    @signature({"types": ["array-number"]})
    def _func_sum(self, arg: list[Any]) -> Any:
        return sum(Decimal(repr(number)) if type(number) is float else number for number in arg)

    @signature({"types": ["array-number"]})
    def _func_avg(self, arg: list[Any]) -> Any:
        return FUNCTIONS["divide"].run(self._func_sum(arg), len(arg)) if arg else None


_BUILTINS = _Builtins()


def _weigh(arguments: Sequence[Any]) -> None:
    weight = 0
    for argument in arguments:
        for part in argument if isinstance(argument, list) else (argument,):
            weight += len(part) if isinstance(part, str) else 0
    if weight > MAX_TEXT:
        raise WrongValue(f"takes up to {MAX_TEXT} signs, not {weight}")


def call(name: str, arguments: list[Any], children: Sequence[Node], root: Root) -> Any:
    """One call of a function, with a failure that names the function and the path it was given."""
    ours = FUNCTIONS.get(name)
    try:
        _weigh(arguments)
        if ours is None:
            if name == "to_string":
                count(arguments)
            return _BUILTINS.call_function(name, arguments)
        if not ours.nulls and None in arguments:
            return None
        if name == "json":
            count(arguments)
        return ours.run(root.get("headers"), *arguments) if name == "header" else ours.run(*arguments)
    except WrongValue as error:
        raise Trouble(f"{name}() {error}", _culprit(children)) from error
    except exceptions.JMESPathTypeError as error:
        wanted = " or ".join(str(kind) for kind in error.expected_types)
        raise Trouble(f"{name}() takes {wanted}, not {error.actual_type}", _culprit(children)) from error
    except (TypeError, ValueError, ArithmeticError) as error:
        raise Trouble(f"{name}() cannot work on these values ({error})", _culprit(children)) from error


def _culprit(children: Sequence[Node]) -> str | None:
    return next((path for child in children if (path := dotted(child))), None)


# --- the interpreter ------------------------------------------------------------------------------------------------


class _Interpreter(TreeInterpreter):
    """JMESPath's interpreter for one run: it counts what it visits."""

    def __init__(self, root: Root) -> None:
        super().__init__(Options(custom_functions=_BUILTINS))
        self._root = root
        self._left = MAX_VISITS

    def visit(self, node: Node, *args: Any, **kwargs: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            self._spend(0)
        return getattr(self, _METHODS[node["type"]])(node, *args)

    def _spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise WrongValue(f"takes more than {MAX_VISITS} steps")

    def visit_field(self, node: Node, value: Any) -> Any:
        return field(value, node["value"])

    def visit_comparator(self, node: Node, value: Any) -> Any:
        left, right = node["children"]
        return compare(node["value"], self.visit(left, value), self.visit(right, value))

    def visit_flatten(self, node: Node, value: Any) -> Any:
        flat = super().visit_flatten(node, value)
        self._spend(len(flat or ()))
        return flat

    def visit_function_expression(self, node: Node, value: Any) -> Any:
        arguments = [self.visit(child, value) for child in node["children"]]
        return call(node["value"], arguments, node["children"], self._root)


_METHODS = {name.removeprefix("visit_"): name for name in dir(_Interpreter) if name.startswith("visit_")}


def _interpreted(tree: Node) -> Run:
    builds = any(node["type"].startswith("multi_select") for node, _ in nodes(tree))

    def run(root: Root) -> Any:
        result = _Interpreter(root).visit(tree, root)
        if builds:
            count(result)
        return result

    return run


# --- closures -------------------------------------------------------------------------------------------------------


def compiled(tree: Node) -> Run:
    """What to call with the root object to get the expression's value. Raises Trouble, WrongValue or RecursionError."""
    path = dotted(tree)
    if path is not None and tree["type"] == "field":
        return lambda root: root.get(path)
    return _closure(tree) or _interpreted(tree)


def _closure(tree: Node) -> Run | None:
    make = _CLOSURES.get(tree["type"])
    return None if make is None else make(tree)


def _closures(tree: Node) -> list[Run] | None:
    made = [_closure(child) for child in tree["children"]]
    return None if None in made else [run for run in made if run is not None]


def _of_field(tree: Node) -> Run:
    name = tree["value"]
    return lambda root: field(root, name)


def _of_literal(tree: Node) -> Run:
    value = tree["value"]
    return lambda _: value


def _of_path(tree: Node) -> Run | None:
    path = names(tree)
    if path is None:
        return None
    first, *rest = path
    return lambda root: reached(root.get(first), rest)


def _of_call(tree: Node) -> Run | None:
    runs, name, children = _closures(tree), tree["value"], tree["children"]
    return None if runs is None else lambda root: call(name, [run(root) for run in runs], children, root)


def _of_comparison(tree: Node) -> Run | None:
    runs, sign = _closures(tree), tree["value"]
    if runs is None:
        return None
    left, right = runs
    return lambda root: compare(sign, left(root), right(root))


def _of_not(tree: Node) -> Run | None:
    runs = _closures(tree)
    return None if runs is None else lambda root: is_false(runs[0](root))


def _of_and(tree: Node) -> Run | None:
    runs = _closures(tree)
    if runs is None:
        return None
    left, right = runs

    def run(root: Root) -> Any:
        first = left(root)
        return first if is_false(first) else right(root)

    return run


def _of_or(tree: Node) -> Run | None:
    runs = _closures(tree)
    if runs is None:
        return None
    left, right = runs

    def run(root: Root) -> Any:
        first = left(root)
        return right(root) if is_false(first) else first

    return run


_CLOSURES: dict[str, Callable[[Node], Run | None]] = {
    "field": _of_field,
    "literal": _of_literal,
    "subexpression": _of_path,
    "function_expression": _of_call,
    "comparator": _of_comparison,
    "not_expression": _of_not,
    "and_expression": _of_and,
    "or_expression": _of_or,
}
