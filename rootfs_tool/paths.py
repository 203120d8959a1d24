"""Where boards/ and templates/ are looked for, where the cache lives, and this program."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from rootfs_tool.errors import ConfigError

_HERE = Path(__file__).parent


def packaged(kind: str) -> Path:
    """The ``boards/`` or ``templates/`` directory that came with this rootfs_tool."""
    installed = _HERE / kind  # a wheel carries them inside the package, a checkout beside it
    return installed if installed.is_dir() else _HERE.parent / kind


def search_path(kind: str) -> Iterator[Path]:
    """Directories of ``kind``, first match wins: here, $ROOTFS_TOOL_PATH, the user's, packaged."""
    extra = filter(None, os.environ.get("ROOTFS_TOOL_PATH", "").split(os.pathsep))
    for root in (Path.cwd(), *map(Path, extra), _xdg("XDG_CONFIG_HOME", ".config")):
        yield root / kind
    yield packaged(kind)


def named(kind: str, suffix: str) -> dict[str, list[Path]]:
    """Every file of ``kind`` that ends in ``suffix``, by its name without that, first match first.

    A directory that may not be read counts as empty.
    """
    found: dict[str, list[Path]] = {}
    for directory in dict.fromkeys(path.resolve() for path in search_path(kind)):
        try:
            here = sorted(path for path in directory.iterdir() if path.name.endswith(suffix))
        except OSError:
            continue
        for path in here:
            found.setdefault(path.name.removesuffix(suffix), []).append(path)
    return found


def program() -> list[str]:
    """This program in words that work after sudo too, which has a PATH of its own."""
    called = Path(shutil.which(sys.argv[0]) or sys.argv[0]).absolute()
    if called.name == "__main__.py":
        return [sys.executable, "-m", "rootfs_tool"]
    return [str(called)]


def cache() -> Path:
    """The user's cache directory, made if it is missing (XDG Base Directory Specification)."""
    return _made("XDG_CACHE_HOME", ".cache", "there can be no cache at")


def state() -> Path:
    """The user's directory of what is to be remembered, made if it is missing (same source)."""
    return _made("XDG_STATE_HOME", ".local/state", "nothing can be kept in")


def _made(variable: str, fallback: str, trouble: str) -> Path:
    directory = _xdg(variable, fallback)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{trouble} {directory}: {error.strerror}",
            hint=f"{variable}=/a/directory/of/yours names another",
        ) from None
    return directory


def _xdg(variable: str, fallback: str) -> Path:
    named = os.environ.get(variable, "")
    root = Path(named) if named.startswith("/") else Path.home() / fallback
    return root / "rootfs-tool"
