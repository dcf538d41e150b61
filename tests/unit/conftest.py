"""A stage and its people; and pure rules only: whoever starts Ray in a unit test is told so."""

import sys
from collections.abc import Iterator
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

import pytest

from tests.unit.guildhall import check_sides
from tests.unit.stage import Person, Stage


def _refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("unit tests run without Ray; put this test under tests/integration")


class _WithoutInit(Loader):
    """Loads Ray as it is, except that nothing can start it."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        module.__dict__["init"] = _refuse


class _RayFinder(MetaPathFinder):
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "ray":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _WithoutInit(spec.loader)
        return spec


@pytest.fixture(autouse=True, scope="session")
def _no_ray() -> Iterator[None]:
    finder = _RayFinder()
    loaded = sys.modules.get("ray")
    before = loaded.__dict__["init"] if loaded else None
    if loaded:
        loaded.__dict__["init"] = _refuse
    sys.meta_path.insert(0, finder)
    yield
    sys.meta_path.remove(finder)
    if loaded:
        loaded.__dict__["init"] = before


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.check()


@pytest.fixture
def alice(stage: Stage) -> Person:
    return Person(stage, "alice")


@pytest.fixture
def bob(stage: Stage) -> Person:
    return Person(stage, "bob")


@pytest.fixture
def carol(stage: Stage) -> Person:
    return Person(stage, "carol")


@pytest.fixture
def both_sides(stage: Stage) -> Iterator[None]:
    """In the end guilds and players agree."""
    yield
    check_sides(stage)
