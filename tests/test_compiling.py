"""Compiling where no folder can be written to."""

from __future__ import annotations

import pytest
from numba.core import caching

from ikem.compiling import compiled


def double(x: int) -> int:
    return 2 * x


@pytest.mark.parametrize("writable", [True, False])
def test_the_disk_is_used_where_it_can_be(writable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not writable:
        monkeypatch.setattr(caching.FunctionCache._impl_class, "_locator_classes", [])
    function = compiled(nogil=True)(double)
    assert function(4) == 8
    assert isinstance(function._cache, caching.FunctionCache if writable else caching.NullCache)
