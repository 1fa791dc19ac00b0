"""Which module may import which: no cycles, and one direction."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Dict, Iterator, List, Set

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
    """Give what runs: all but what is for the type checker."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from _nodes(node)


def _imported(tree: ast.AST) -> Set[str]:
    """Return what a module imports of ours, at any place in it; a name of a package's own is the package."""
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


def test_no_imports_in_a_circle() -> None:
    """Those inside functions count, too: they only hide one."""
    circles: Dict[str, List[str]] = {}
    for name in MODULES:
        if name in _reached(name):
            circles[name] = sorted(other for other in IMPORTS[name] if name in _reached(other))
    assert circles == {}


def test_adapters_do_not_know_the_faces() -> None:
    faces = {name for name in MODULES if name.startswith(("native_api.http", "native_api.python_api"))}
    faces |= {"native_api", "native_api.dispatch", "native_api.plugin"}
    assert faces <= set(MODULES)
    assert {name: IMPORTS[name] & faces for name in _adapters() if IMPORTS[name] & faces} == {}


@pytest.mark.parametrize("start", ["native_api.settings", "native_api.adapters.compat"])
def test_the_ground_floor_does_not_know_the_operations(start: str) -> None:
    """What settings and compat reach of the adapters is compat, and the fields that it needs."""
    floor = [name for name in MODULES if name == start or name.startswith(f"{start}.")]
    known = ("native_api.adapters.compat", "native_api.adapters.fields")
    above = {other for name in floor for other in _reached(name) if other.startswith("native_api.adapters.")}
    assert {other for other in above if not other.startswith(known)} == set()


def _adapters() -> List[str]:
    return [name for name in MODULES if name.startswith("native_api.adapters")]
