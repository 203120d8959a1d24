"""QEMU as the board: the same kernel, the same rootfs, a serial console on a pty."""

from __future__ import annotations

import os
import sys
import tempfile
import termios
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import IO, Literal, Self

from rootfs_tool import proc
from rootfs_tool.console import connect
from rootfs_tool.console.base import Console, Line
from rootfs_tool.errors import CommandError, ConfigError, ConsoleClosed
from rootfs_tool.firmware.models import ModelName
from rootfs_tool.manifest import Build
from rootfs_tool.model import model_validator
from rootfs_tool.network import Network
from rootfs_tool.network.interface import InterfaceName
from rootfs_tool.targets import portforward, tap
from rootfs_tool.targets.base import HostAddress, Target
from rootfs_tool.targets.card import Start
from rootfs_tool.targets.card import start as started
from rootfs_tool.targets.qmp import Qmp

USER = "user"  # QEMU's own network, in place of a TAP
# What QEMU's user network calls the host's loopback (QEMU system manual, "Using the user mode
# network stack").
HOST = HostAddress(bind="127.0.0.1", seen=IPv4Address("10.0.2.2"))
# The address of a board whose profile gives it none that QEMU would give it by DHCP.
BOARD = IPv4Address("10.0.2.15")
# The Raspberry Pi that a machine is: its firmware says what starts.
MODELS: dict[str, ModelName] = {"raspi3b": "3b", "raspi4b": "4b"}
CPUS = 4  # the Pis that QEMU knows have no other number
NO_CARD = 'it takes [[image]] type = "sdcard", and card = "sd" or "virtio" in the [[target]]'


class Qemu(Target):
    """A machine that QEMU knows, booted from the build's kernel and initramfs."""

    type: Literal["qemu"] = "qemu"

    machine: str
    """QEMU's name for it: `qemu-system-aarch64 -machine help` lists them."""

    cpu: str | None = None
    """CPU model, where the machine leaves the choice."""

    memory: int = 512
    """MiB of RAM."""

    smp: int | None = None
    """Number of CPUs, where the machine leaves the choice."""

    nic: Literal["virtio-net-pci", "usb-net"] | None = "virtio-net-pci"
    """The network card."""

    network: InterfaceName = USER
    """What it is plugged into: "user", QEMU's own, where 10.0.2.2 is this host; or a TAP."""

    forward: portforward.Forwards = ()
    """Ports of this host's 127.0.0.1 that lead to the board's: "10022:22", HOST:BOARD, TCP."""

    card: Literal["sd", "virtio"] | None = None
    """How the build's SD card is attached: in the machine's slot, or as a disk of its own."""

    serial: int = 0
    """Which of the machine's serial ports the console is, counted from 0."""

    @model_validator(mode="after")
    def _has_a_network(self) -> Self:
        if self.forward and self.nic is None:
            raise ValueError("forward needs a network card: nic")
        if self.network != USER and self.nic is None:
            raise ValueError(f'network = "{self.network}" needs a network card: nic')
        if self.forward and self.network != USER:
            raise ValueError(self._no_forwards)
        return self

    @contextmanager
    def boot(
        self,
        build: Build,
        line: Line,
        *,
        card: Path | None = None,
        network: Network | None = None,
        reboots: bool = False,
    ) -> Iterator[Console]:
        """As in Target. ``card`` is the file of a card that is kept from one boot to the next.

        The forwards lead to the address that the board has in its ``network``. A machine that
        ``reboots`` starts anew where another ends. Raises ConfigError when a port to forward, or
        the TAP, is taken.
        """
        self._check()
        with (
            tempfile.TemporaryFile() as said,
            self.start(build, card) as start,
            proc.running(
                *self.argv(build, start, network),
                *("-display", "none", "-monitor", "none", "-S", "-qmp", "stdio"),
                *([] if reboots else ["-no-reboot"]),
                *self._serial("chardev:console"),
                *("-chardev", "pty,id=console"),
                stdin=proc.PIPE,
                stdout=proc.PIPE,
                stderr=said,
            ) as qemu,
        ):
            assert qemu.stdin is not None
            assert qemu.stdout is not None
            with qemu.stdin, qemu.stdout, _words_of(said, self._forwards):
                qmp = Qmp(qemu.stdin, qemu.stdout)
                chardevs = {one["label"]: one["filename"] for one in qmp.execute("query-chardev")}
                terminal = chardevs["console"].removeprefix("pty:")
                with closing(connect(f"serial:{terminal}", line)) as console:
                    qmp.execute("cont")
                    try:
                        yield _Console(console, qmp)
                    finally:
                        qemu.kill()  # nothing of it is kept, so it need not tidy up

    def run(self, build: Build, *, card: Path | None = None, network: Network | None = None) -> int:
        """Boot with this process's terminal on the console; returns QEMU's exit status.

        The terminal's settings are put back however QEMU ends. Ctrl-A X leaves. ``card`` and
        ``network`` are as in boot().
        """
        self._check()
        with (
            _terminal_kept(),
            self.start(build, card) as start,
            proc.running(
                *self.argv(build, start, network),
                *("-display", "none", "-no-reboot"),
                *self._serial("mon:stdio"),
                stdin=sys.stdin.fileno(),
                stdout=sys.stdout.fileno(),
                stderr=sys.stderr.fileno(),
                foreground=True,
            ) as qemu,
        ):
            return qemu.wait()

    def host(self, network: Network) -> HostAddress:
        return HOST if self.network == USER else tap.host(self.network, network)

    def reach(self, network: Network, port: int) -> tuple[str, int] | None:
        """The port of this host that leads there, if one does; the board's own where it has one."""
        if self.network != USER:
            own = network.address.ip if network.address else None
            address = own or tap.leased(self.network, network.hostname)
            return None if address is None else (str(address), port)
        host = self.forwards().get(port)
        return None if host is None else (portforward.BIND, host)

    def forwards(self) -> dict[int, int]:
        """The ports of this host's 127.0.0.1, by the board's ports to which they lead.

        Where several lead to one, it is the first.
        """
        return {one.board: one.host for one in reversed(self._forwards)}

    @property
    def _no_forwards(self) -> str:
        return f"nothing is forwarded on {self.network}, where the board has its own address"

    def _check(self) -> None:
        """Raise ConfigError for what is known to be in the way of a start."""
        portforward.check(self._forwards)
        if self.network != USER:
            tap.check(self.network)

    @property
    def _forwards(self) -> list[portforward.Forward]:
        if self.forward and self.network != USER:  # those of a recipe, laid over this
            raise ConfigError(self._no_forwards, hint="leave forward out")
        return [portforward.parse(text) for text in self.forward]

    def start(self, build: Build, card: Path | None = None) -> AbstractContextManager[Start]:
        """What the machine starts from while the block runs; see card.start."""
        holds = any(image.format == "sdcard" for image in build.images)
        if card is not None and not (self.card and holds):
            raise ConfigError("there is no card to keep", hint=NO_CARD)
        if self.card == "sd" and card is not None and card.exists():
            size = card.stat().st_size
            if size & (size - 1):
                raise ConfigError(
                    f"{card} has {size:,} bytes, and the machine's slot takes a power of two alone",
                    hint=f"truncate --size={1 << size.bit_length()} {card}",
                )
        model = MODELS.get(self.machine)
        return started(build, card=bool(self.card and holds), model=model, kept=card)

    def argv(self, build: Build, start: Start, network: Network | None = None) -> list[str]:
        """The machine, its memory, what it starts from, and network; not its serial ports."""
        argv = [f"qemu-system-{build.arch}", "-machine", self.machine, "-m", str(self.memory)]
        argv += ["-cpu", self.cpu] if self.cpu else []
        argv += ["-smp", str(self.smp)] if self.smp else []
        argv += self._threads()
        argv += ["-kernel", str(start.kernel), "-append", start.cmdline]
        argv += ["-initrd", str(start.initramfs)] if start.initramfs else []
        argv += ["-dtb", str(start.device_tree)] if start.device_tree else []
        return [*argv, *self._disk(start.card), *self._nic(network)]

    def _threads(self) -> list[str]:
        """One thread for all CPUs where this host has fewer (qemu(1), ``-accel tcg,thread=``).

        A ``machine`` with an accelerator of its own takes no second one: "virt,accel=kvm".
        A CPU that waits for another spins, and so does a Pi's that Linux has not started yet: on
        threads of their own, they take the time from the one that they wait for.
        """
        cpus = self.smp or (CPUS if self.machine in MODELS else 1)
        fewer = len(os.sched_getaffinity(0)) < cpus
        return ["-accel", "tcg,thread=single"] if fewer and "accel=" not in self.machine else []

    def _disk(self, card: Path | None) -> list[str]:
        if card is None:
            return []
        drive = f"id=card,format=raw,file={str(card).replace(',', ',,')}"
        if self.card == "sd":
            return ["-drive", f"if=sd,{drive}"]
        return ["-drive", f"if=none,{drive}", "-device", "virtio-blk-pci,drive=card"]

    def _nic(self, network: Network | None) -> list[str]:
        devices = {
            # Without romfile= QEMU wants a network boot ROM that Debian packages apart.
            "virtio-net-pci": "virtio-net-pci,netdev=net0,romfile=",
            "usb-net": "usb-net,netdev=net0",
        }
        if self.nic is None:
            return ["-nic", "none"]
        if self.network != USER:
            plugged = f"tap,id=net0,ifname={self.network},script=no,downscript=no"
            mac = tap.mac(self.network, network.hostname if network else "")
            return ["-netdev", plugged, "-device", f"{devices[self.nic]},mac={mac}"]
        address = network.address.ip if network and network.address else BOARD
        doors = "".join(
            f",hostfwd=tcp:{portforward.BIND}:{one.host}-{address}:{one.board}"
            for one in self._forwards
        )
        return ["-netdev", f"user,id=net0{doors}", "-device", devices[self.nic]]

    def _serial(self, last: str) -> list[str]:
        return [*["-serial", "null"] * self.serial, "-serial", last]


class _Console:
    """The machine's pty, whose breaks QEMU has to make itself."""

    def __init__(self, terminal: Console, qmp: Qmp) -> None:
        self.read, self.write, self.close = terminal.read, terminal.write, terminal.close
        self._qmp = qmp

    def send_break(self) -> None:
        try:
            self._qmp.execute("chardev-send-break", id="console")
        except CommandError as error:
            raise ConsoleClosed(f"the machine takes no break: {error}") from None

    def set_baudrate(self, baudrate: int) -> bool:
        return False


@contextmanager
def _words_of(said: IO[bytes], forwards: list[portforward.Forward]) -> Iterator[None]:
    """Put what QEMU wrote to stderr into the error that its end became."""
    try:
        yield
    except CommandError as error:
        said.seek(0)
        words = said.read().decode(errors="replace").strip()
        if not words:
            raise
        if "host forwarding" in words:  # one of the ports was taken since they were looked at
            portforward.check(forwards)
        raise CommandError(
            f"{error}: {words}",
            argv=error.argv,
            output=words,
            hint="rootfs-tool doctor tells whether this QEMU is recent enough",
        ) from None


@contextmanager
def _terminal_kept() -> Iterator[None]:
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)
