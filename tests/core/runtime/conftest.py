"""The toy driver, fresh for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from toydriver import World, toy


@pytest.fixture
def world() -> Iterator[World]:
    with toy() as made:
        yield made
