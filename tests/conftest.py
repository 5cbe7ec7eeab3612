"""Fixtures that more than one test module needs."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from hypothesis import settings
from programs import SHARED
from pynetdicom import _config
from steady_peers import steady

from lethe.storage.archive import Archive
from lethe.storage.database import open_database

# The same examples on every run, however slow the machine; `--hypothesis-profile=default` takes others.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that use ../shared are skipped where it is absent: it is the team's own."""
    if not SHARED.is_dir():
        for item in items:
            if item.get_closest_marker("shared"):
                item.add_marker(pytest.mark.skip(reason="../shared is not here"))


@pytest.fixture(autouse=True)
def _quiet_pydicom() -> Iterator[None]:
    """pydicom warns of every odd value, and odd values are what the tests are about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Commands set up logging for their process; here it is the process of all tests."""
    root = logging.getLogger()
    handlers, level, hooks = root.handlers[:], root.level, (sys.excepthook, threading.excepthook)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks


@pytest.fixture(autouse=True, scope="module")
def _pynetdicom_as_it_was() -> Iterator[None]:
    """A receiver of ours has pynetdicom write what comes to files, for the whole process; the peers of other tests do
    not expect that."""
    chunked = _config.STORE_RECV_CHUNKED_DATASET
    yield
    _config.STORE_RECV_CHUNKED_DATASET = chunked


@pytest.fixture(autouse=True, scope="session")
def _peers_are_steady() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        steady(patch)
        yield


@pytest.fixture(autouse=True, scope="module")
def _files_are_closed() -> Iterator[None]:
    """What tests leave open adds up over the suite, and pynetdicom's peers fail at 1,024 descriptors."""
    yield
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) < 512, "the tests leave files open"


@pytest.fixture
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are quick to verify, in archives that are opened after this."""
    quick = partial(PasswordHasher, time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr("lethe.storage.users.PasswordHasher", quick)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Any]:
    """An empty database."""
    database = open_database(f"sqlite:///{tmp_path}/lethe.db")
    database.pragma("synchronous", 0)  # where durability is tested, a test opens its own
    yield database
    database.close()


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An empty data folder."""
    archive = Archive(tmp_path / "data")
    yield archive
    archive.close()
