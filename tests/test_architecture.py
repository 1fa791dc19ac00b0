"""Which module can import which, and which can distinguish versions of Airflow."""

from __future__ import annotations

import ast
from configparser import ConfigParser
from importlib import import_module
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _modules() -> Dict[str, ast.Module]:
    """Return all modules of the package, parsed; ``native_api/adapters`` is a symlink."""
    ours = [path for path in (ROOT / "native_api").rglob("*.py") if (ROOT / "native_api/adapters") not in path.parents]
    adapters = [*(ROOT / "adapters").rglob("*.py")]
    places = {path: path.relative_to(ROOT) for path in ours}
    places.update({path: Path("native_api", path.relative_to(ROOT)) for path in adapters})
    return {_dotted(place): ast.parse(path.read_text(encoding="utf-8")) for path, place in places.items()}


def _dotted(place: Path) -> str:
    parts = place.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = _modules()


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run, without those for the type checker."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from _nodes(node)


def _imported(tree: ast.AST) -> Set[str]:
    """Return the modules of this package that a module imports anywhere; a name of a package is the package."""
    found: Set[str] = set()
    for node in _nodes(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            names = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found.update(name if name in MODULES else str(node.module) for name in names.values())
        elif isinstance(node, ast.Call) and ast.dump(node.func).count("'import_module'") and node.args:
            found.update(str(part.value) for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant))
    return found & set(MODULES)


IMPORTS = {name: _imported(tree) - {name} for name, tree in MODULES.items()}


def _reached(start: str) -> Set[str]:
    found: Set[str] = set()
    left = [start]
    while left:
        new = IMPORTS[left.pop()] - found
        found |= new
        left += new
    return found


def test_no_import_is_in_a_circle() -> None:
    """Imports inside functions count, too: they only hide a circle."""
    circles: Dict[str, List[str]] = {}
    for name in MODULES:
        if name in _reached(name):
            circles[name] = sorted(other for other in IMPORTS[name] if name in _reached(other))
    assert circles == {}


def test_adapters_do_not_import_the_interfaces() -> None:
    faces = {name for name in MODULES if name.startswith(("native_api.http", "native_api.python_api"))}
    faces |= {"native_api", "native_api.dispatch", "native_api.plugin"}
    assert faces <= set(MODULES)
    assert {name: IMPORTS[name] & faces for name in _adapters() if IMPORTS[name] & faces} == {}


@pytest.mark.parametrize("start", ["native_api.settings", "native_api.adapters.compat"])
def test_settings_and_compat_do_not_import_the_operations(start: str) -> None:
    """Of the adapters they import only compat and the fields that it needs."""
    floor = [name for name in MODULES if name == start or name.startswith(f"{start}.")]
    known = ("native_api.adapters.compat", "native_api.adapters.fields")
    above = {other for name in floor for other in _reached(name) if other.startswith("native_api.adapters.")}
    assert {other for other in above if not other.startswith(known)} == set()


def _adapters() -> List[str]:
    return [name for name in MODULES if name.startswith("native_api.adapters")]


#: What asks whether something has an attribute, and is not about Airflow; by module and attribute.
NO_SNIFFS = {
    ("native_api.python_api", "read"): "an argument of the caller's: a file that is open",
    ("native_api.python_api", "name"): "the name of such a file",
    ("native_api.http.disconnects", "POLLRDHUP"): "Python's select, which has it on Linux only",
    ("native_api.adapters.connections.operations", "length"): "a type of SQLAlchemy's, which may have none",
    ("native_api.adapters.connections.operations", "_password"): "a row of the table, or the model",
    ("native_api.adapters.connections.operations", "_extra"): "a row of the table, or the model",
    ("native_api.adapters.deployments.substitution", "_zip_directory_cache"): "Python's zipimport",
}


def test_only_compat_distinguishes_versions_of_airflow() -> None:
    """No other module tests the version, or whether Airflow has something."""
    outside = [name for name in MODULES if not name.startswith("native_api.adapters.compat")]
    asked = {(name, what) for name in outside for what in _asks_which_airflow(MODULES[name])}
    assert asked == set(NO_SNIFFS)


def _asks_which_airflow(tree: ast.AST) -> Iterator[str]:
    """Yield what can distinguish versions of Airflow in a module."""
    for node in _nodes(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            # With two arguments getattr fails, and tells nothing.
            if node.func.id == "hasattr" or (node.func.id == "getattr" and len(node.args) > 2):
                yield str(getattr(node.args[1], "value", ast.dump(node.args[1])))
        elif isinstance(node, ast.ImportFrom):
            of_airflow = str(node.module).split(".")[0] == "airflow"
            of_compat = str(node.module).startswith("native_api.adapters.compat")
            names = {alias.name for alias in node.names}
            yield from names & {"__version__"} if of_airflow else names & {"version"} if of_compat else ()
        elif isinstance(node, ast.Attribute) and node.attr == "__version__":
            yield "__version__"
        elif isinstance(node, ast.ExceptHandler) and node.type is not None:
            yield from {"ImportError", "ModuleNotFoundError"} & {part for part in _names(node.type)}


def _names(tree: ast.AST) -> Set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


COMPAT = "native_api.adapters.compat"
GENERATIONS = {"airflow2", "airflow3"}


@pytest.mark.parametrize("generation", sorted(GENERATIONS))
def test_the_generations_do_not_import_each_other(generation: str) -> None:
    """They are imported only where the one of the installed Airflow is selected."""
    modules = {name for name in MODULES if name.startswith(f"{COMPAT}.{generation}")}
    assert modules
    users = {name for name in MODULES if IMPORTS[name] & modules and name not in modules}
    assert users == {COMPAT}


def test_the_generations_have_the_same_modules() -> None:
    """Except for the supervisor of tasks, which only Airflow 3 has."""
    topics = {generation: _topics(generation) for generation in (*GENERATIONS, "interface")}
    assert topics["airflow3"] - topics["airflow2"] == {"in_memory_supervisor"}
    assert topics["airflow2"] - topics["airflow3"] == set()
    assert topics["airflow2"] - topics["interface"] == {"backfill_rows"}
    # What is asked of the installed command line is the same on all.
    assert topics["interface"] - topics["airflow2"] == {"daemons"}


def _topics(package: str) -> Set[str]:
    return {name.rpartition(".")[2] for name in MODULES if name.startswith(f"{COMPAT}.{package}.")}


@pytest.mark.parametrize("generation", sorted(GENERATIONS))
def test_each_row_of_a_generation_implements_every_topic(generation: str) -> None:
    """No method is abstract, and no attribute without a value."""
    versions: Any = import_module(f"{COMPAT}.{generation}").VERSIONS
    topics = [topic for topic in versions[0]._fields if topic != "since"]
    lacking = {
        (row.since, topic, name)
        for row in versions
        for topic in topics
        for name in _lacking(getattr(row, topic), topics if topic == "airflow" else [])
    }
    assert lacking == set()


def _lacking(implementation: type, assembled: List[str]) -> Set[str]:
    """Return what a class declares and does not define; *assembled* is set on its instances."""
    declared = {name for base in implementation.__mro__ for name in vars(base).get("__annotations__", {})}
    abstract: Set[str] = set(getattr(implementation, "__abstractmethods__", ()))
    return abstract | {name for name in declared - set(assembled) if not hasattr(implementation, name)}


def test_no_test_module_imports_another() -> None:
    """Shared code is in ``tests/support``, or in a module without tests."""
    modules = [*(ROOT / "tests").rglob("*.py")]
    assert len(modules) > 100
    imported = {str(path.relative_to(ROOT)): _test_modules(path) for path in modules}
    assert {path: found for path, found in imported.items() if found} == {}


def _test_modules(path: Path) -> Set[str]:
    """Return the test modules that a file imports."""
    names = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return {name for name in names if name.startswith("tests.") and ".test_" in name}


def test_every_package_is_installed() -> None:
    """setup.cfg lists the packages, since a search would not follow the symlink."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = config["options"]["packages"].split()
    assert listed == sorted(listed)
    packages = {name.rpartition(".")[0] for name in MODULES if "." in name} | {"native_api"}
    assert set(listed) == packages
