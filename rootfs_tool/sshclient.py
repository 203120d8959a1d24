"""rootfs-tool ssh: where a board's SSH server is, and the host's own ssh set on it."""

from __future__ import annotations

import os
import re
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import IO

from rootfs_tool import events, paths, proc
from rootfs_tool.errors import (
    CommandError,
    ConfigError,
    ConsoleClosed,
    ConsoleTimeout,
    RootfsToolError,
)
from rootfs_tool.recipe import Recipe
from rootfs_tool.targets import Qemu

PATIENCE = 30.0  # seconds that a board which has just been started may take to answer
ANSWER = 3.0  # seconds for one attempt
PAUSE = 0.1  # seconds between two
NAME_PAUSE = 1.0  # the same where a name server is asked
REFUSED = "connection refused"
_HOST = re.compile(r"[A-Za-z0-9:][A-Za-z0-9.:%_-]*")
_ADDRESS = "--address 192.0.2.7, as `ifconfig` on the board's console tells"
FAILED = 255  # what ssh exits with when it is not the command that failed, ssh(1)


@dataclass(frozen=True, slots=True)
class Silence:
    """Why no server says who it is; ``nameless``: as nobody is known to have the host's name."""

    reason: str
    nameless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """``name`` is the board's own; ``machine`` says that it is one of QEMU's on this host."""

    name: str
    host: str
    port: int
    machine: bool

    def options(self, user: str) -> dict[str, str]:
        """What ssh_config(5) calls them.

        A machine on this host's loopback is nobody else, and makes new host keys at every boot, so
        that its key is not looked at. A board's is kept where a change of it stands out, in a file
        that belongs to boards alone.
        """
        where = {"HostName": self.host, "Port": str(self.port), "User": user}
        if self.machine:
            trust = {"StrictHostKeyChecking": "no", "UserKnownHostsFile": "/dev/null"}
            return {**where, **trust, "GlobalKnownHostsFile": "/dev/null", "LogLevel": "ERROR"}
        known = {"HostKeyAlias": self.name, "UserKnownHostsFile": f'"{known_hosts()}"'}
        return {**where, **known, "HashKnownHosts": "no", "StrictHostKeyChecking": "accept-new"}


def find(recipe: Recipe, address: str | None = None) -> Server:
    """Where a host gets to the server of a build: at ``address`` if that is given.

    Raises ConfigError if there is no way.
    """
    board = recipe.board
    if recipe.ssh is None:
        raise ConfigError(
            f"{board.name} has no SSH server", hint="add [ssh] to the recipe and build again"
        )
    name, port = board.network.hostname, recipe.ssh.port
    if address is not None:
        if _HOST.fullmatch(address) is None:
            raise ConfigError(f"{address!r} is neither an address nor a name", hint=_ADDRESS)
        return Server(name=name, host=address, port=port, machine=False)
    for target in recipe.all_targets:
        if (there := target.reach(board.network, port)) is not None:
            return Server(name=name, host=there[0], port=there[1], machine=isinstance(target, Qemu))
    if any(isinstance(target, Qemu) for target in recipe.all_targets):
        raise ConfigError(
            f"no port of this host leads to port {port} of {board.name}'s machine",
            hint=f'forward = ["10022:{port}"] at the top of the recipe',
        )
    if not board.network.interface:
        raise ConfigError(f"{board.name} has no network", hint="[[network.interface]] gives one")
    if board.network.address is None:
        raise ConfigError(
            f"only its DHCP server knows the address of {board.name}",
            hint="--address says it: `ifconfig` on its console tells",
        )
    return Server(name=name, host=str(board.network.address.ip), port=port, machine=False)


def known_hosts() -> Path:
    """The file of the host keys of boards."""
    return paths.state() / "known_hosts"


def config(server: Server, user: str) -> str:
    """Lines of ssh_config(5) for ``scp -F`` and ``sftp -F``."""
    lines = (f"    {name} {value}" for name, value in server.options(user).items())
    return "\n".join([f"Host {server.name}", *lines]) + "\n"


def run(
    server: Server,
    words: Sequence[str],
    *,
    what: str,
    user: str = "root",
    identity: Path | None = None,
    options: Sequence[str] = (),
    terminal: bool = False,
) -> int:
    """Log in, or run ``words`` there, on this process's stdin, stdout and stderr.

    ``options`` are ssh's -o, which go before ours; ``what`` is how a person names the board here.
    Returns the exit status of the command. Raises MissingToolError, ConsoleError if nothing
    answers, and CommandError if the board does not let us in.
    """
    proc.which("ssh")
    wait(server, what)
    ours = (f"{name}={value}" for name, value in server.options(user).items())
    with tempfile.NamedTemporaryFile(prefix="ssh-") as said:
        with proc.running(
            *("ssh", "-E", said.name),
            *(word for one in (*options, *ours) for word in ("-o", one)),
            *(("-i", str(identity)) if identity else ()),
            *(("-t",) if terminal else ()),
            *(server.name, *(("--", *words) if words else ())),
            stdin=sys.stdin.fileno(),
            stdout=sys.stdout.fileno(),
            stderr=sys.stderr.fileno(),
            env={name: os.environ[name] for name in ("SSH_AUTH_SOCK",) if name in os.environ},
            foreground=True,
        ) as ssh:
            status = ssh.wait()
        return _ended(status, said, server)


def wait(server: Server, what: str, *, patience: float = PATIENCE) -> None:
    """Return once an SSH server greets; seconds of ``patience``. Raises ConsoleError if none does.

    Raises ConfigError about what is no name, and about one that nobody has: at the end, for what a
    board asks by mDNS or DHCP to be called is known once it is up. QEMU takes a connection before
    the board does, and ends it again.
    """
    where = f"{server.host} port {server.port}"
    end = time.monotonic() + patience
    silence = _silence(server)
    if silence is None:
        return
    if server.machine and silence.reason == REFUSED:
        raise ConsoleClosed(
            f"nothing listens at {where}",
            hint=f"start it in another terminal: rootfs-tool run {quote(what)}",
        )
    with events.step(f"wait for SSH at {where}"):
        if silence.nameless:
            events.note(f"{server.host}: {silence.reason}; it may become known as the board starts")
        while silence := _silence(server):
            if time.monotonic() > end:
                raise _given_up(server, silence, patience)
            time.sleep(NAME_PAUSE if silence.nameless else PAUSE)


def _given_up(server: Server, silence: Silence, patience: float) -> RootfsToolError:
    if silence.nameless:
        return ConfigError(f"{server.host}: {silence.reason}", hint=_ADDRESS)
    where = f"{server.host} port {server.port}"
    return ConsoleTimeout(
        f"no SSH server answers at {where} within {patience:g} s: {silence.reason}",
        hint="is the board up, and was it built with [ssh]? "
        "/etc/init.d/S??dropbear status on its console tells",
    )


def _silence(server: Server) -> Silence | None:
    """Why no server says who it is (RFC 4253, section 4.2), if none does. Raises ConfigError."""
    try:
        with closing(socket.create_connection((server.host, server.port), ANSWER)) as connection:
            said = connection.recv(255)
    except ConnectionRefusedError:
        return Silence(REFUSED)
    except UnicodeError:  # of a name with an empty label
        raise ConfigError(f"{server.host}: is no name", hint=_ADDRESS) from None
    except socket.gaierror as error:
        return Silence(error.strerror or "is not known", nameless=True)
    except OSError as error:
        return Silence(error.strerror or "silence")
    if not said:
        return Silence("the connection ends at once")
    return None if said.startswith(b"SSH-") else Silence("something else is there")


def _ended(status: int, said: IO[bytes], server: Server) -> int:
    """Pass on what ssh itself said, and turn its own failures into errors."""
    lines = said.read().decode(errors="replace").splitlines()
    text = [line.strip() for line in lines if line.strip() and not line.startswith("@@")]
    if status != FAILED or not text:  # the command's own 255
        for line in text:
            events.note(f"ssh: {line}")
        return status
    message, hint = _explain(text, server)
    raise CommandError(message, argv=["ssh", server.name], output="\n".join(text), hint=hint)


def _explain(text: list[str], server: Server) -> tuple[str, str | None]:
    """What ssh's words mean for a board, and what to do."""
    said = "\n".join(text)
    if "HOST IDENTIFICATION HAS CHANGED" in said or "Host key verification failed" in said:
        return (
            f"{server.name} at {server.host} has another host key than the last time",
            (
                "a board written anew, or with / in RAM, has made itself another; if it is yours: "
                f"ssh-keygen -f {quote(str(known_hosts()))} -R {server.name}"
            ),
        )
    if "Permission denied" in said:
        return (
            f"{server.name} lets nobody in with what was offered: {text[-1]}",
            "-i names a key, --user who logs in; root's public keys stand in the recipe's [ssh]",
        )
    return f"ssh: {text[-1]}", None
