"""Reads from the source what ``help()`` does not show: signatures as written, and the text below an attribute."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Iterator, Sequence
from itertools import pairwise
from types import ModuleType
from typing import Any, NamedTuple

from semcache_core.types import once

WIDTH = 80
"""Columns of a code block."""


class Attribute(NamedTuple):
    """A field of a class or an attribute of its objects, as the source writes it. Empty: the source has none."""

    name: str
    type: str
    default: str
    meaning: str


@functools.cache
def attributes(kind: type) -> list[Attribute]:
    """Return the public fields of a class, inherited ones first."""
    found: dict[str, Attribute] = {}
    for owner in reversed(kind.__mro__):
        if owner.__module__.partition(".")[0] not in ("builtins", "typing", "msgspec"):
            body = _definition(owner).body
            found |= {each.name: each for each in _documented(body) if not each.name.startswith("_")}
    return list(found.values())


def instance_attributes(kind: type) -> list[Attribute]:
    """Return the public attributes that ``__init__`` sets."""
    made = next((node for node in _definition(kind).body if getattr(node, "name", "") == "__init__"), None)
    found = _documented(made.body) if isinstance(made, ast.FunctionDef) else []
    own = [each._replace(name=each.name.removeprefix("self.")) for each in found if each.name.startswith("self.")]
    return [each for each in own if not each.name.startswith("_")]


@functools.cache
def constants(module: ModuleType) -> dict[str, Attribute]:
    """Return the public assignments of a module, by name."""
    found = _documented(ast.parse(inspect.getsource(module)).body)
    return {each.name: each for each in found if not each.name.startswith("_")}


def public_methods(kind: type) -> list[tuple[str, Any]]:
    """Return the methods and properties of a class that its users call, in order."""
    members = ((name, value) for name, value in vars(kind).items() if not name.startswith("_"))
    return [
        (name, value)
        for name, value in members
        if inspect.isfunction(value) or isinstance(value, property | classmethod | once)
    ]


def signature(name: str, function: Any) -> str:
    """Return how a function is called, in lines of at most ``WIDTH`` columns."""
    plain = getattr(function, "fget", None) or getattr(function, "_function", None) or inspect.unwrap(function)
    node = _definition(plain)
    returns = "" if node.returns is None else f" -> {_written(node.returns)}"
    if isinstance(function, property | once):
        return f"{name}{returns}"
    begin = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    return _in_lines(f"{begin} {name}", _parameters(node.args), returns)


def assignment(constant: Attribute) -> str:
    """Return an assignment as the source has it, in lines of at most ``WIDTH`` columns."""
    node = ast.parse(constant.default, mode="eval").body
    if not isinstance(node, ast.Call):
        return f"{constant.name} = {constant.default}"
    arguments = [*map(ast.unparse, node.args), *(f"{each.arg}={_written(each.value)}" for each in node.keywords)]
    return _in_lines(f"{constant.name} = {ast.unparse(node.func)}", arguments)


def class_line(name: str, kind: type) -> str:
    """Return how an object of a class is made; what begins with an underscore is its own business."""
    if issubclass(kind, Exception) and "__init__" not in vars(kind):
        return f"class {name}(Exception)"
    if "__init__" in vars(kind):
        node = _definition(kind.__init__)  # type: ignore[misc]
        return _in_lines(f"class {name}", _parameters(node.args))
    fields = [f"{f.name}: {f.type}{f' = {f.default}' if f.default else ''}" for f in attributes(kind)]
    return _in_lines(f"class {name}", fields)


def docstring(documented: Any) -> str:
    """Return a docstring as Markdown: double backquotes become single ones, indented text stays a code block."""
    return markdown(inspect.cleandoc(documented.__doc__ or ""))


def markdown(text: str) -> str:
    """Return the text of a docstring as Markdown."""
    return text.replace("``", "`").replace("::\n", ":\n")


@functools.cache
def _definition(documented: Any) -> Any:
    return ast.parse(textwrap.dedent(inspect.getsource(documented))).body[0]


def _documented(body: Sequence[ast.stmt]) -> Iterator[Attribute]:
    """Yield each assignment with the string below it."""
    for statement, below in pairwise([*body, ast.Pass()]):
        if isinstance(statement, ast.AnnAssign):
            value = "" if statement.value is None else _written(statement.value)
            meaning = _text(below) or _description(statement.annotation)
            yield Attribute(ast.unparse(statement.target), _written(statement.annotation), value, meaning)
        elif isinstance(statement, ast.Assign):
            for target in statement.targets:
                yield Attribute(ast.unparse(target), "", _written(statement.value), _text(below))


def _text(node: ast.stmt) -> str:
    value = node.value if isinstance(node, ast.Expr) else None
    is_text = isinstance(value, ast.Constant) and isinstance(value.value, str)
    return markdown(inspect.cleandoc(value.value)) if is_text else ""  # type: ignore[union-attr, arg-type]


def _description(annotation: ast.expr) -> str:
    """Return ``Meta(description=...)`` of an annotation."""
    named = (node for node in ast.walk(annotation) if isinstance(node, ast.keyword) and node.arg == "description")
    return next((str(ast.literal_eval(node.value)) for node in named), "")


def _parameters(arguments: ast.arguments) -> list[str]:
    """Return every parameter with its type and default, ``/`` and ``*`` included."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [*[None] * (len(positional) - len(arguments.defaults)), *arguments.defaults]
    found = [_parameter(each, default) for each, default in zip(positional, defaults, strict=True)]
    if arguments.posonlyargs:
        found.insert(len(arguments.posonlyargs), "/")
    if arguments.vararg is not None or arguments.kwonlyargs:
        found.append("*" if arguments.vararg is None else f"*{_parameter(arguments.vararg, None)}")
    found += [
        _parameter(each, default) for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    found = [each for each in found if each not in ("self", "cls")]
    return found if arguments.kwarg is None else [*found, f"**{_parameter(arguments.kwarg, None)}"]


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    name = argument.arg if argument.annotation is None else f"{argument.arg}: {_written(argument.annotation)}"
    if default is None:
        return name
    return f"{name}{'=' if argument.annotation is None else ' = '}{_written(default)}"


def _written(node: ast.expr) -> str:
    text = ast.unparse(node).replace("msgspec.UnsetType", "UnsetType").replace("msgspec.UNSET", "UNSET")
    return f'"{text[1:-1]}"' if isinstance(node, ast.Constant) and isinstance(node.value, str) else text


def _in_lines(begin: str, parameters: Sequence[str], end: str = "") -> str:
    line = f"{begin}({', '.join(parameters)}){end}"
    if len(line) <= WIDTH:
        return line
    fill = textwrap.TextWrapper(
        width=WIDTH,
        initial_indent="    ",
        subsequent_indent="        ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join([f"{begin}(", *(fill.fill(f"{each},") for each in parameters), f"){end}"])
