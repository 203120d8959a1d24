"""The only module that starts host programs."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
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
    "blkid": "util-linux",
    "dnsmasq": "dnsmasq-base",
    "dpkg-deb": "dpkg",
    "fsck.erofs": "erofs-utils",
    "ip": "iproute2",
    "iptables": "iptables",
    "lsblk": "util-linux",
    "make": "make",
    "mke2fs": "e2fsprogs",
    "mkfs.erofs": "erofs-utils",
    "mksquashfs": "squashfs-tools",
    "nft": "nftables",
    "qemu-system-aarch64": "qemu-system-arm",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
    "unshare": "util-linux",
}

_TAIL = 12  # lines of a failed program's output that its error shows


def which(program: str) -> str:
    """The full path of a host program. Raises MissingToolError naming its Debian package."""
    found = shutil.which(program, path=_path())
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
    bound: bool = False,
) -> str:
    """Run a program to its end and return what it wrote to stdout.

    ``env`` is added to a small built environment; ``timeout`` is in seconds. A ``bound`` one does
    not outlive this process, as in `running`. Raises MissingToolError, or CommandError with the
    pasteable command line and the last lines.
    """
    args = [os.fspath(a) for a in argv]
    which(args[0])
    log.debug("+ %s", shlex.join(args))
    try:
        done = subprocess.run(
            [*_bound(), *args] if bound else args,
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
        raise _failed(args, done.returncode, said)
    return done.stdout.decode(errors="replace")


def feed(*argv: str | os.PathLike[str], stdin: Iterable[bytes]) -> None:
    """Run a program to its end, and let it read ``stdin``.

    Raises MissingToolError, or CommandError with the pasteable command line and the last lines.
    """
    args = [os.fspath(a) for a in argv]
    with (
        tempfile.TemporaryFile() as log_file,
        running(*args, stdin=PIPE, stdout=log_file, stderr=log_file) as child,
    ):
        assert child.stdin is not None
        # One that ends early says why.
        with suppress(BrokenPipeError), child.stdin as pipe:
            pipe.writelines(stdin)
        if child.wait():
            log_file.seek(0)
            raise _failed(args, child.returncode, log_file.read().decode(errors="replace"))


def _failed(args: list[str], status: int, said: str) -> CommandError:
    last = "\n".join(said.strip().splitlines()[-_TAIL:])
    return CommandError(f"{shlex.join(args)} exited {status}\n{last}", argv=args, output=said)


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a host program gets to see: no locale or time zone of the user's."""
    kept = {name: os.environ[name] for name in ("HOME", "TMPDIR") if name in os.environ}
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    fixed = {"PATH": _path(), "LANG": "C.UTF-8", "TZ": "UTC"}
    return {**kept, **proxies, **fixed, **(more or {})}


def _path() -> str:
    """Where programs are looked for: mke2fs is in no directory of an ordinary user's on Debian."""
    return os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


@contextmanager
def running(
    *argv: str | os.PathLike[str],
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
    foreground: bool = False,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs while the block does, and not a moment longer.

    What it has started ends with it, at the latest when the block does. The kernel ends it too when
    this process dies, however that happens (PR_SET_PDEATHSIG, prctl(2)). ``foreground`` leaves it
    in our process group, where Ctrl-C reaches all of them, and what it has started to itself.
    ``env`` is added to the built environment.
    """
    args = [os.fspath(a) for a in argv]
    which(args[0])
    log.debug("+ %s", shlex.join(args))
    child = subprocess.Popen(
        [*_bound(), *args],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=environment({"TERM": os.environ.get("TERM", "dumb"), **(env or {})}),
        cwd=cwd,
        start_new_session=not foreground,
    )
    try:
        yield child
    finally:
        _end(child, group=not foreground)


def _bound() -> tuple[str, ...]:
    """What, ahead of a program, has the kernel end it when this process dies."""
    return (which("setpriv"), "--pdeathsig", "KILL", "--")


def _end(child: subprocess.Popen[bytes], *, group: bool) -> None:
    """End a program, and the process ``group`` that it leads: make's shells leave compilers."""
    tell = partial(os.killpg, child.pid) if group else child.send_signal
    try:
        if child.poll() is None:
            tell(signal.SIGTERM)
            child.wait(5)
    except subprocess.TimeoutExpired:
        pass  # it does not hear
    finally:  # also of Ctrl-C while it takes its time
        if not (group and _is_another_s(child)):
            with suppress(ProcessLookupError):  # nobody is left
                tell(signal.SIGKILL)
        child.wait()


def _is_another_s(child: subprocess.Popen[bytes]) -> bool:
    """Whether the number of a program that has ended was given to another process.

    As long as its group has a member, it is given to none (POSIX.1-2017, XBD 4.14), and what it is
    the number of can be no group but ours.
    """
    if child.returncode is None:
        return False
    try:
        os.kill(child.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def start_on_terminal(argv: Sequence[str], *, terminal: int) -> subprocess.Popen[bytes]:
    """Start a program with ``terminal`` as its controlling terminal; the caller ends it."""
    return subprocess.Popen(
        [which("setsid"), "--ctty", "--wait", *argv],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment({"TERM": "vt100"}),
    )
