"""What all tests of preferences share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    """Cores that share products of this size wait for each other."""
    with threadpool_limits(1, "blas"):
        yield
