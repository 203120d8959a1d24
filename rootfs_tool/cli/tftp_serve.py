"""``rootfs-tool tftp-serve``."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from pathlib import Path
from types import FrameType

import click
from click.core import ParameterSource

from rootfs_tool import paths
from rootfs_tool.cli.transfers import Log, as_json, as_line
from rootfs_tool.errors import ConfigError
from rootfs_tool.printable import printable
from rootfs_tool.tftpd import listening, metrics, names, privileges
from rootfs_tool.tftpd.base import MIB, Event, Kind, Limits, Listener
from rootfs_tool.tftpd.directory import Directory
from rootfs_tool.tftpd.engine import Engine
from rootfs_tool.tftpd.units import Unit, unit
from rootfs_tool.tftpd.uploads import LARGEST, Uploads

PORT = 69  # RFC 1350, and what every boot ROM asks
EVERY = 5.0  # seconds between two writings of the metrics
# options that a unit says in its own way
OF_THE_SOCKET = ("address", "port", "user", "print_unit")
FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("tftp-serve")
@click.argument("directory", metavar="[DIR]", default="out", type=FOLDER)
@click.option("--address", help="Listen on this address only; by default on all, IPv4 and IPv6.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="The UDP port; 0 is any free one.",
)
@click.option(
    "--map",
    "maps",
    metavar="REGEX=REPLACEMENT",
    multiple=True,
    help="Rewrite names before they are looked for; several work one after another.",
)
@click.option("--allow-write", metavar="DIR", type=FOLDER, help="Take files into this directory.")
@click.option("--overwrite", is_flag=True, help="With --allow-write: also over those that exist.")
@click.option(
    "--max-upload",
    metavar="MIB",
    type=click.IntRange(min=1),
    default=LARGEST // MIB,
    show_default=True,
    help="With --allow-write: the largest file, in MiB.",
)
@click.option("--single-port", is_flag=True, help="All transfers from the one port, for NAT.")
@click.option(
    "--max-sessions",
    metavar="N",
    type=click.IntRange(min=1),
    default=Limits().sessions,
    show_default=True,
    help="Transfers at the same time.",
)
@click.option("--user", help="When started as root, whom to become; by default DIR's owner.")
@click.option("--json", "json_lines", is_flag=True, help="Print each event as a line of JSON.")
@click.option(
    "--metrics",
    "metrics_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep figures for Prometheus in this file (node_exporter's textfile collector).",
)
@click.option(
    "--print-unit",
    type=click.Choice(["socket", "service"]),
    help="Print a systemd unit for port 69 with these options, and end.",
)
def command(
    directory: Path,
    address: str | None,
    port: int,
    maps: tuple[str, ...],
    allow_write: Path | None,
    overwrite: bool,
    max_upload: int,
    single_port: bool,
    max_sessions: int,
    user: str | None,
    json_lines: bool,
    metrics_file: Path | None,
    print_unit: Unit | None,
) -> None:
    """Serve the files of DIR by TFTP, read-only, to any number of boards, until Ctrl-C.

    Nothing outside DIR is ever served, whatever name is asked for. DIR is an out/ that build has
    made, or any directory.
    """
    if overwrite and allow_write is None:
        raise click.UsageError("--overwrite goes with --allow-write DIR")
    if print_unit is not None:
        _print_unit(print_unit, directory)
        return
    with ExitStack() as stack:
        rules = [names.rule(one) for one in maps]
        uploads = None
        if allow_write is not None:
            uploads = Uploads(allow_write, overwrite=overwrite, largest=max_upload * MIB)
            stack.enter_context(closing(uploads))
        files = stack.enter_context(closing(Directory(directory, rules=rules, uploads=uploads)))
        sockets = listening.passed() or listening.listen(address, port)
        for one in sockets:
            stack.enter_context(closing(one))
        limits = Limits(sessions=max_sessions)
        server = _Server(sockets, files, limits, single_port, json_lines, metrics_file)
        example = printable(_example(directory))
        _give_up_root(user, files)
        if uploads is not None:
            uploads.prepare()
        server.measure()
        _say_where(directory, sockets, example)
        status = server.run()
    if server.stuck:
        os._exit(status)  # Python would wait for a thread that waits for a reader
    sys.exit(status)


class _Server:
    """The engine, and what tells of it."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        files: Directory,
        limits: Limits,
        single_port: bool,
        json_lines: bool,
        metrics_file: Path | None,
    ) -> None:
        self._json, self._metrics, self._started = json_lines, metrics_file, time.time()
        self._say: Callable[[str], None] = lambda line: click.echo(line, err=True)
        self._log = Log(self._tell, tick=self._tick, every=EVERY, broken=self._stop)
        listener: Listener = self._log
        self._engine = Engine(
            sockets, files, limits=limits, listener=listener, single_port=single_port
        )
        self._status = 0
        self._draw: Callable[[], AbstractContextManager[Callable[[str], None]]] | None = None
        if sys.stderr.isatty() and not json_lines:
            from rootfs_tool.report import transfers  # not free to import

            transfers.prepare()
            self._draw = lambda: transfers.live(self._engine.transfers)

    def run(self) -> int:
        """Serve until somebody says stop; the exit code. Raises OSError if output can't be."""
        signal.signal(signal.SIGTERM, self._ended)
        signal.signal(signal.SIGINT, self._ended)
        with ExitStack() as stack:
            if self._draw is not None:
                self._say = stack.enter_context(self._draw())
            self._log.start()
            stack.callback(self._log.end)
            self._engine.run()
        if self._log.error is not None:
            raise self._log.error
        if self._log.lost and not self.stuck:
            click.echo(f"{self._log.lost} events were not told: nobody took them", err=True)
        self._tick()
        return self._status

    @property
    def stuck(self) -> bool:
        """Whether what was told last is still not taken."""
        return self._log.stuck

    def measure(self) -> None:
        """Write the figures, if anybody wants them. Raises ConfigError."""
        if self._metrics is None:
            return
        active = len(self._engine.transfers())
        text = metrics.text(self._engine.totals(), active=active, started=self._started)
        try:
            metrics.write(self._metrics, text)
        except OSError as error:
            raise ConfigError(
                f"--metrics {self._metrics}: {error.strerror}",
                hint="whom the server runs as must be able to write its directory",
            ) from None

    def _tick(self) -> None:
        """A disk that is full for a while is no reason to stop."""
        with suppress(ConfigError):
            self.measure()

    def _tell(self, event: Event) -> None:
        if self._json:
            click.echo(as_json(event))
        elif event.kind is not Kind.BEGUN:
            self._say(as_line(event))

    def _stop(self) -> None:
        self._engine.stop()

    def _ended(self, number: int, _frame: FrameType | None) -> None:
        self._status = 0 if number == signal.SIGTERM else 128 + number
        signal.signal(number, signal.SIG_DFL)  # the second time at once: a terminal may be stopped
        self._engine.stop()


def _give_up_root(user: str | None, files: Directory) -> None:
    if os.geteuid() == 0:
        name = privileges.drop(user, files.fd)
        click.echo(f"root's rights are given up: this is {name} now", err=True)
    elif user is not None:
        raise ConfigError("--user needs root, to begin with")
    hidden = privileges.unreadable(files.fd)
    if hidden:
        shown = ", ".join(map(printable, hidden[:3])) + (
            f" and {len(hidden) - 3} more" if hidden[3:] else ""
        )
        click.echo(f"note: this user may not read {shown}: chmod o+r, or --user", err=True)


def _say_where(directory: Path, sockets: Sequence[socket.socket], file: str) -> None:
    """Where it listens, and what would be typed on a board."""
    places = " and ".join(map(listening.place, sockets))
    click.echo(f"serving {directory} on {places}; Ctrl-C ends it", err=True)
    host, port = sockets[0].getsockname()[:2]
    if host in listening.ANY:
        host = listening.own_addresses()[0]
    if port == PORT:
        click.echo(f"  U-Boot:  setenv serverip {host}; tftpboot $kernel_addr_r {file}", err=True)
    click.echo(f"  BusyBox: tftp -g -r {file} {host} {port}", err=True)


def _example(directory: Path) -> str:
    """The name of the largest file, which mostly is a kernel."""
    try:
        files = [one for one in directory.iterdir() if one.is_file()]
    except OSError:
        files = []
    return max(files, key=lambda one: one.stat().st_size).name if files else "FILE"


def _print_unit(kind: Unit, directory: Path) -> None:
    """The unit runs this program with the options that were given, and paths made absolute."""
    context = click.get_current_context()
    argv, writes = [*paths.program(), "tftp-serve", str(directory.absolute())], []
    for option in context.command.params:
        name, value = str(option.name), context.params[str(option.name)]
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if not given or name in OF_THE_SOCKET or not isinstance(option, click.Option):
            continue
        said = option.opts[0]
        match value:
            case bool():
                argv.append(said)
            case tuple():
                argv += [word for one in value for word in (said, one)]
            case Path():
                argv += [said, str(value.absolute())]
                writes.append(
                    value.absolute() if name == "allow_write" else value.absolute().parent
                )
            case _:
                argv += [said, str(value)]
    click.echo(unit(kind, command=argv, directory=directory.absolute(), writes=writes), nl=False)
