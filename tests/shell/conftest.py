from __future__ import annotations

import shutil
from pathlib import Path

import pytest

SHELLS = {
    "busybox": ("busybox", "busybox sh"),
    "dash": ("dash", "dash -i"),
    "bash": ("bash", "bash --norc --noediting"),
    "bash-readline": ("bash", "bash --norc"),
}


@pytest.fixture(params=SHELLS)
def program(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The command line of an interactive shell; `sh` is that shell too."""
    binary, command = SHELLS[request.param]
    found = shutil.which(binary)
    if found is None:
        pytest.skip(f"{binary} is not installed")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sh").symlink_to(found)
    monkeypatch.setenv("PATH", f"{programs}:{Path('/usr/sbin')}:/usr/bin:/sbin:/bin")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return command
