from __future__ import annotations

from tests.shell.conftest import program

__all__ = ["program"]
