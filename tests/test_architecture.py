"""The arrows of the design, one home for each driver, and rules that reviewers should not have to remember."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from actors.catalog import Catalog
from actors.core import Command, Query

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = ("actors", "gateway", "schemas", "scripts", "greenroom_client")
OURS = {*PRODUCT, "tests"}

HOMES = {"ray": "actors.runtime.cluster", "asyncpg": "actors.runtime.database", "redis": "actors.runtime.bus"}
COMPARED = {"scripts.bench.baseline"}
"""Programs that Greenroom is compared with; they are no part of it."""

RULES_OF_PLAY = ("actors.catalog", "actors.content", "actors.core", "actors.times")
DOOR_MAY = (
    *RULES_OF_PLAY,
    "actors.runtime.router",
    # Accounts and sessions are the door's own state, so it has its own connections.
    "actors.runtime.database",
    "actors.runtime.bus",
    "actors.runtime.content",
)


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the product, parsed, by its dotted name."""
    found = {}
    for package in PRODUCT:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[name] = ast.parse(path.read_text("utf-8"), str(path))
    return found


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere in the tree; `from a import b` counts as a, and as a.b if a is ours."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"line {node.lineno}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules() else node.module


def within(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


def allowed(importer: str) -> tuple[str, ...]:
    """Which of our packages a module may know."""
    if within(importer, ("schemas",)):
        return ("schemas",)
    if within(importer, ("greenroom_client",)):
        return ("greenroom_client",)
    if within(importer, ("actors.runtime",)):
        return ("actors.runtime", *RULES_OF_PLAY, "schemas")
    if within(importer, ("actors",)):
        return ("actors", "schemas")
    if within(importer, ("gateway",)):
        return ("gateway", *DOOR_MAY, "schemas")
    return PRODUCT


def test_the_arrows_point_as_designed() -> None:
    wrong = [
        f"{importer} imports {imported}"
        for importer, tree in modules().items()
        for imported in imports(tree)
        if imported.partition(".")[0] in OURS and not within(imported, allowed(importer))
    ]
    assert wrong == []


def test_rules_know_nothing_of_the_plumbing() -> None:
    plumbing = ("actors.runtime", "asyncio", "socket", "threading", "subprocess", "time", "secrets", "os", "aiohttp")
    wrong = [
        f"{importer} imports {imported}"
        for importer, tree in modules().items()
        if within(importer, ("actors",)) and not within(importer, ("actors.runtime",))
        for imported in imports(tree)
        if within(imported, plumbing)
    ]
    assert wrong == []


@pytest.mark.parametrize("driver", sorted(HOMES))
def test_each_driver_has_one_home(driver: str) -> None:
    homes = {name for name, tree in modules().items() if any(within(found, (driver,)) for found in imports(tree))}
    assert homes - COMPARED == {HOMES[driver]}


def test_every_module_opens_with_a_sentence() -> None:
    silent = [name for name, tree in modules().items() if not (ast.get_docstring(tree) or "").partition("\n")[0]]
    assert silent == []


# -- what no code may do ------------------------------------------------------------------------------------------

SQL = ("SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH ", "CREATE ", "ALTER ", "DROP ", "TRUNCATE ", "COPY ")


def is_fixed(node: ast.expr) -> bool:
    """Whether the text is known before the program runs: literals and constants, put together."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Name | ast.Attribute):
        return (node.id if isinstance(node, ast.Name) else node.attr).isupper()
    if isinstance(node, ast.FormattedValue):
        return is_fixed(node.value)
    if isinstance(node, ast.JoinedStr):
        return all(is_fixed(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return is_fixed(node.left) and is_fixed(node.right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return is_fixed(node.func.value) and all(is_fixed(argument) for argument in node.args)
    return False


def opening(node: ast.AST) -> str:
    """The literal text that an expression begins with."""
    if isinstance(node, ast.Constant):
        return node.value.lstrip().upper() if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return opening(node.values[0]) if node.values else ""
    if isinstance(node, ast.BinOp):
        return opening(node.left)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return opening(node.func.value)
    return ""


def test_no_sql_is_put_together_from_values() -> None:
    wrong = [
        f"{name}:{node.lineno}"
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr | ast.BinOp | ast.Call)
        and opening(node).startswith(SQL)
        and not is_fixed(node)
    ]
    assert wrong == []


def test_no_code_is_made_from_data() -> None:
    modules_refused = ("pickle", "marshal", "shelve", "dill", "cloudpickle")
    wrong = []
    for name, tree in modules().items():
        wrong += [f"{name} imports {found}" for found in imports(tree) if within(found, modules_refused)]
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in ("eval", "exec", "compile", "__import__", "yaml.load", "yaml.full_load", "yaml.unsafe_load"):
                wrong.append(f"{name}:{node.lineno} calls {called}")
    assert wrong == []


def test_ray_never_repeats_a_call() -> None:
    """A repeated call is a repeated effect; only the router asks again, under the op id."""
    options: list[tuple[str, ast.expr]] = []
    for tree in modules().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg:
                options.append((node.arg, node.value))
            elif isinstance(node, ast.Dict):
                options += [
                    (key.value, value)
                    for key, value in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant) and isinstance(key.value, str)
                ]
    said = [ast.unparse(value) for name, value in options if name == "max_task_retries"]
    assert said
    assert set(said) == {"0"}
    assert not [name for name, _ in options if name in ("retry_exceptions", "max_retries")]


def test_nothing_is_left_undone() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error", "pragma: " + "no cover")
    wrong = [
        f"{path.relative_to(ROOT)}: {mark}"
        for package in (*PRODUCT, "tests")
        for path in sorted((ROOT / package).rglob("*.py"))
        for mark in marks
        if mark in path.read_text("utf-8")
    ]
    assert wrong == []


# -- consults -----------------------------------------------------------------------------------------------------


def consult_edges() -> set[tuple[str, str]]:
    """Who may consult whom, by kind: each kind whose modules make a Consult, and every other kind that is named there;
    itself where a message of its own is what the Consult asks."""
    edges = set()
    for kind in Catalog().kinds.values():
        for name in sorted({message.__module__ for message in kind.commands.values()}):
            module = importlib.import_module(name)
            calls = [
                node
                for node in ast.walk(ast.parse(inspect.getsource(module)))
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "Consult"
            ]
            if not calls:
                continue
            for message in vars(module).values():
                if inspect.isclass(message) and issubclass(message, Command | Query) and hasattr(message, "actor"):
                    asked = any(message.__name__ in ast.unparse(call.args[1]) for call in calls if len(call.args) > 1)
                    if message.actor.kind != kind.name or asked:
                        edges.add((kind.name, message.actor.kind))
    return edges


def test_kinds_consult_each_other_in_no_circle() -> None:
    edges = consult_edges()
    assert edges, "the player consults the fraud detector"
    while edges:
        sources = {source for source, _ in edges}
        inner = {(source, target) for source, target in edges if target in sources}
        assert len(inner) < len(edges), f"a circle of consults: {sorted(edges)}"
        edges = inner
