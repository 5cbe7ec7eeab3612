"""The house stands as `docs/developer.md` draws it: every import points down, and the engine is pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "storage": {"storage"},
    "dicomweb": {"dicomweb", "storage"},
    "fhir": {"fhir", "storage"},
    "node": {"node", "dicomweb", "fhir", "storage"},
}
IMPURE = {"socket", "sqlite3", "peewee", "time", "datetime.now", "requests", "flask", "subprocess", "os", "tomllib"}


def modules() -> list[Path]:
    return [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]


def imports(path: Path) -> Iterator[str]:
    """The dotted names a module imports, relative ones made absolute, wherever they stand."""
    package = ["lethe", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            yield from (f"{module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0]
    for name in imports(path):
        if name.startswith("lethe."):
            assert name.split(".")[1] in MAY_IMPORT[own], f"{own} must not import {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "node" / "deid").rglob("*.py")), ids=lambda path: path.name)
def test_the_engine_knows_no_storage_socket_database_clock_or_config(path: Path) -> None:
    for name in imports(path):
        assert not (name.startswith("lethe.") and not name.startswith("lethe.node.deid")), name
        assert name.split(".")[0] not in IMPURE, name


@pytest.mark.parametrize("path", sorted((ROOT / "node" / "burned").rglob("*.py")), ids=lambda path: path.name)
def test_what_looks_at_pixels_knows_no_storage_socket_database_clock_or_config(path: Path) -> None:
    for name in imports(path):
        own = name.startswith(("lethe.node.deid", "lethe.node.burned", "lethe.node.choices."))
        assert own or not name.startswith("lethe."), name
        assert name.split(".")[0] not in IMPURE - {"os"}, name


def test_fhir_is_a_namespace_because_fhir_resources_owns_its_name() -> None:
    assert not (ROOT / "fhir" / "__init__.py").exists()


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_has_a_name_that_says_nothing(path: Path) -> None:
    assert path.stem not in {"utils", "util", "common", "helpers", "helper", "manager", "misc"}
