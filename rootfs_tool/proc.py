"""The only module that starts host programs."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rootfs_tool.errors import CommandError, MissingToolError

log = logging.getLogger(__name__)

PIPE = subprocess.PIPE
TimeoutExpired = subprocess.TimeoutExpired

# program -> the Debian package that has it; doctor and the Makefile read this table too
PACKAGES = {
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "qemu-system-aarch64": "qemu-system-arm",
    "setpriv": "util-linux",
}

_TAIL = 12  # lines of a failed program's output that its error shows


def which(program: str) -> str:
    """The full path of a host program. Raises MissingToolError naming its Debian package."""
    found = shutil.which(program)
    if found is None:
        package = PACKAGES.get(program)
        raise MissingToolError(
            f"{program} is not installed",
            hint=f"apt install {package}" if package else "rootfs-tool doctor lists what is needed",
        )
    return found


def run(
    *argv: str | os.PathLike[str],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> str:
    """Run a program to its end and return what it wrote to stdout.

    ``env`` is added to a small built environment; ``timeout`` is in seconds. Raises
    MissingToolError, or CommandError with the pasteable command line and the last lines.
    """
    args = [os.fspath(a) for a in argv]
    which(args[0])
    log.debug("+ %s", shlex.join(args))
    try:
        done = subprocess.run(
            args,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(env),
            cwd=cwd,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CommandError(
            f"{shlex.join(args)} did not end within {timeout:g} s", argv=args, output=""
        ) from None
    said = (done.stderr + done.stdout).decode(errors="replace")
    if done.returncode:
        last = "\n".join(said.strip().splitlines()[-_TAIL:])
        raise CommandError(
            f"{shlex.join(args)} exited {done.returncode}\n{last}", argv=args, output=said
        )
    return done.stdout.decode(errors="replace")


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a host program gets to see: no locale or time zone of the user's."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    return {**kept, **proxies, "LANG": "C.UTF-8", "TZ": "UTC", **(more or {})}


@contextmanager
def running(
    *argv: str | os.PathLike[str],
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
    foreground: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs while the block does, and not a moment longer.

    The kernel ends it too when this process dies, however that happens (PR_SET_PDEATHSIG,
    prctl(2)). ``foreground`` leaves it in our process group, where Ctrl-C reaches it.
    """
    args = [os.fspath(a) for a in argv]
    which(args[0])
    log.debug("+ %s", shlex.join(args))
    child = subprocess.Popen(
        [which("setpriv"), "--pdeathsig", "KILL", "--", *args],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=environment({"TERM": os.environ.get("TERM", "dumb")}),
        start_new_session=not foreground,
    )
    try:
        yield child
    finally:
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def start_on_terminal(argv: Sequence[str], *, terminal: int) -> subprocess.Popen[bytes]:
    """Start a program with ``terminal`` as its controlling terminal; the caller ends it."""
    return subprocess.Popen(
        [which("setsid"), "--ctty", "--wait", *argv],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment({"TERM": "vt100"}),
    )
