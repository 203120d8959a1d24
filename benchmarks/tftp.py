"""The TFTP server of ``tftp-serve`` and those of others, in turn, under the same load.

Figures are ratios: ours and each peer run one after the other, five times, and the median of the
pairs counts. tftp_load.c makes the load and compares every byte. Everything is on the loopback.
Peers: atftpd, dnsmasq and tftpd-hpa of Debian, tftpy of the Python package index. It needs root,
for dnsmasq, which knows no port but 69, and for tftpd-hpa, which calls chroot(2).

``--quick`` does less of everything. ``--only TEXT`` keeps the figures whose names hold it.
``--server COMMAND`` puts another server in our place; {root}, {address} and {port} are filled in.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from benchmarks import tftp_servers
from benchmarks.lossy_relay import losing
from benchmarks.tftp_servers import Server

MIB = 1 << 20
BLKSIZE = 1428  # fills an Ethernet frame less a tunnel's head
STALLED = 1000  # requests without an ACK
MEMORY = 60 * MIB  # bytes, of 500 clients of one file
STALLED_MEMORY = 20 * MIB
FREED = 30.0  # seconds
LOSS = 0.05
STORM = 0.02  # duplicates per packet
PROGRAM = shlex.quote(str(tftp_servers.PROGRAM))
OURS = f"{PROGRAM} tftp-serve {{root}} --address {{address}} --port {{port}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """``clients`` that read ``file`` at once."""

    file: str
    clients: int = 1
    windowsize: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What tftp_load.c says; ``sum`` is of all clients' times, ``cpu`` the server's, in seconds."""

    seconds: float
    ok: int
    failed: int
    bad: int
    packets: int
    resent: int
    duplicates: int
    gaps: int
    slowest: float
    sum: float
    blksize: int
    windowsize: int
    error: str
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """Our speed against a peer's: at least ``least`` times of it."""

    name: str
    load: Load
    peer: str
    least: float


SOLO = Load(file="32M")
SOLO_W16 = Load(file="32M", windowsize=16)
MANY = {clients: Load(file="1M", clients=clients) for clients in (100, 500)}
MANY_W16 = {clients: Load(file="1M", clients=clients, windowsize=16) for clients in (100, 500)}

GOALS = [
    Goal(name="window 16, 1 client", load=SOLO_W16, peer="atftpd", least=2.5),
    *(
        Goal(name=f"window 16, {clients} clients", load=load, peer=peer, least=least)
        for clients, load in MANY_W16.items()
        for peer, least in (("atftpd", 2.0), ("tftpd-hpa", 6.0))
    ),
    Goal(name="lock-step, 1 client", load=SOLO, peer="tftpd-hpa", least=0.95),
    Goal(name="lock-step, 1 client", load=SOLO, peer="tftpy", least=2.0),
    *(
        Goal(name=f"lock-step, {clients} clients", load=load, peer=peer, least=least)
        for clients, load in MANY.items()
        for peer, least in (("tftpd-hpa", 1.3), ("dnsmasq", 0.95))
    ),
]

missed: list[str] = []


def goal(
    name: str, found: float, bound: float, words: Literal["at least", "at most"], more: str = ""
) -> None:
    met = found >= bound if words == "at least" else found <= bound
    if not met:
        missed.append(name)
    text = f"{name}: {found:.4g} ({words} {bound:g}){more}"
    print(f"{text} {'ok' if met else 'MISSED'}", flush=True)


class Bench:
    """Servers that run, and the load on them; ``rounds`` of each pair."""

    def __init__(self, directory: Path, command: str, rounds: int) -> None:
        self.directory = directory
        self.root = directory / "root"
        self.program = directory / "tftp_load"
        self.command = command
        self.rounds = rounds
        self.known = tftp_servers.commands(self.root)

    def prepare(self) -> None:
        self.root.mkdir()
        self.directory.chmod(0o755)
        for name, size in (("32M", 32 * MIB), ("1M", MIB), ("128k", MIB // 8)):
            (self.root / name).write_bytes(random.Random(size).randbytes(size))
        source = Path(__file__).with_name("tftp_load.c")
        compiler = ("gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2")
        subprocess.run([*compiler, "-o", self.program, source], check=True)
        tftp_servers.unpack()

    @contextmanager
    def ours(self, port: int = 6901) -> Iterator[Server]:
        how = tftp_servers.ours(self.root, self.command, port)
        with tftp_servers.started("ours", *how) as server:
            yield server

    @contextmanager
    def peer(self, name: str) -> Iterator[Server]:
        with tftp_servers.started(name, *self.known[name]) as server:
            yield server

    def run(self, server: Server, load: Load, *, port: int = 0, source: str = "127.0.0.1") -> Done:
        before = server.cpu()
        argv: list[str | Path] = [
            *(self.program, "-a", server.address, "-p", str(port or server.port), "-s", source),
            *("-c", str(load.clients), "-b", str(BLKSIZE), "-w", str(load.windowsize)),
            *("-d", "180", load.file, self.root / load.file),
        ]
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode > 1:
            sys.exit(done.returncode)
        return Done(**json.loads(done.stdout), cpu=server.cpu() - before)

    def pairs(self, load: Load, ours: Server, peer: Server) -> list[tuple[Done, Done]]:
        """A B A B …, after one round of a single client that does not count."""
        for server in (ours, peer):
            self.run(server, Load(file=load.file, windowsize=load.windowsize))
        return [(self.run(ours, load), self.run(peer, load)) for _ in range(self.rounds)]


def speed(bench: Bench, one: Goal, ours: Server) -> None:
    with bench.peer(one.peer) as peer:
        pairs = bench.pairs(one.load, ours, peer)
    for _, theirs in pairs:
        if theirs.ok < one.load.clients:
            print(f"{one.peer} lost {theirs.failed + theirs.bad} transfers: {theirs.error}")
    ratio = statistics.median(theirs.seconds / mine.seconds for mine, theirs in pairs)
    sizes = one.load.clients * (bench.root / one.load.file).stat().st_size / 1e6
    speeds = [
        statistics.median(sizes / run.seconds for run in runs) for runs in zip(*pairs, strict=True)
    ]
    more = f"; {speeds[0]:.0f} and {speeds[1]:.0f} MB/s"
    goal(f"{one.name}, times {one.peer}", ratio, one.least, "at least", more)
    whole(one.name, [mine for mine, _ in pairs], one.load)
    if one.load.clients == 100 and one.peer == "dnsmasq":
        spent = [
            statistics.median(run.cpu / sizes * 1000 for run in runs)
            for runs in zip(*pairs, strict=True)
        ]
        more = f"; {spent[0]:.2f} and {spent[1]:.2f} s/GB"
        ratio = statistics.median(mine.cpu / theirs.cpu for mine, theirs in pairs)
        goal(f"{one.name}, processor time in dnsmasq's", ratio, 1.0, "at most", more)


def whole(name: str, runs: list[Done], load: Load) -> None:
    """Nothing lost, nothing wrong, what was asked for granted, and no duplicate storm."""
    lost = sum(run.failed + run.bad for run in runs)
    if lost:
        words = "; " + " ".join({run.error for run in runs if run.error})
        goal(f"{name}, transfers lost", lost, 0, "at most", words)
    storm = sum(run.duplicates for run in runs) / max(1, sum(run.packets for run in runs))
    if storm > STORM or load.clients == 500:
        goal(f"{name}, duplicates per packet", storm, STORM, "at most")
    for run in runs:
        if run.ok and (run.blksize, run.windowsize) != (BLKSIZE, load.windowsize):
            sys.exit(f"{name}: ours granted blksize {run.blksize}, windowsize {run.windowsize}")


def loss(bench: Bench, peer_name: str, ours: Server) -> None:
    """Sixteen clients on a link that loses 5 % each way: the sum of their times, as luck has it."""
    clients = 16
    mine, theirs = Load(file="128k", clients=clients, windowsize=16), Load(file="128k", clients=16)
    if peer_name == "atftpd":
        theirs = mine
    totals = {"ours": 0.0, peer_name: 0.0}
    lost = 0
    with bench.peer(peer_name) as peer:
        for seed in range(bench.rounds):
            for server, load in ((ours, mine), (peer, theirs)):
                with losing((server.address, server.port), LOSS, seed=seed) as relay:
                    done = bench.run(server, load, port=relay[1])
                totals[server.name] += done.sum
                lost += clients - done.ok if server is ours else 0
    name = f"5 % lost each way, total time in {peer_name}'s"
    more = f"; {totals['ours']:.1f} and {totals[peer_name]:.1f} s, {lost} not whole"
    goal(
        name, totals["ours"] / totals[peer_name] if not lost else float("inf"), 0.5, "at most", more
    )


def memory(bench: Bench) -> None:
    with bench.ours() as server:
        for load in (MANY_W16[500], MANY[500]):
            done = bench.run(server, load)
            whole("memory", [done], load)
        most = server.memory("VmHWM")
    goal("memory with 500 clients of one file, MiB", most / MIB, MEMORY / MIB, "at most")


def stalled(bench: Bench) -> None:
    """Requests that are never followed by an ACK, and a good client beside them."""
    name = f"{STALLED} requests without an ACK"
    with bench.ours(6905) as idle, bench.ours() as server, ExitStack() as stack:
        good(bench, server)
        before, descriptors = server.memory(), server.descriptors()
        goal(f"{name}, answered", ask(server, stack), STALLED, "at least")
        asked = time.monotonic()
        pairs = [(good(bench, server), good(bench, idle)) for _ in range(2 * bench.rounds)][1:]
        beside = statistics.median(one / alone for one, alone in pairs)
        goal("a good client beside them, time in its time alone", beside, 1.25, "at most")
        held = server.memory() - before
        goal(f"{name}, MiB", held / MIB, STALLED_MEMORY / MIB, "at most")
        while server.descriptors() > descriptors and time.monotonic() < asked + 2 * FREED:
            time.sleep(0.2)
        goal("all of them ended after, s", time.monotonic() - asked, FREED, "at most")
        ask(server, stack)
        more = server.memory() - before - held
        goal("as many once more, MiB beyond that", more / MIB, 1, "at most")


def good(bench: Bench, server: Server) -> float:
    """Seconds of one client, whose address is not the others'."""
    return bench.run(server, SOLO_W16, source="127.0.0.2").seconds


def ask(server: Server, stack: ExitStack) -> int:
    """How many of them get an answer that is no ERROR."""
    answered = 0
    for _ in range(STALLED):
        client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        client.settimeout(5)
        request = b"\0\x011M\0octet\0blksize\x001428\0windowsize\x0016\0"
        client.sendto(request, (server.address, server.port))
        answered += client.recv(65536)[:2] == b"\0\6"
    return answered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--server", default=OURS)
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("it needs root, for the servers of others")
    with tempfile.TemporaryDirectory(prefix="rootfs-tool-") as temporary:
        bench = Bench(Path(temporary), options.server, rounds=2 if options.quick else 5)
        bench.prepare()
        print(tftp_servers.machine())
        figures: dict[str, Callable[[Server], None]] = {
            **{f"{one.name}, {one.peer}": partial(speed, bench, one) for one in GOALS},
            **{f"loss, {peer}": partial(loss, bench, peer) for peer in ("tftpd-hpa", "atftpd")},
        }
        with bench.ours() as server:
            for name, figure in figures.items():
                if options.only in name:
                    figure(server)
        for name, last in (("memory", memory), ("stalled", stalled)):
            if options.only in name:
                last(bench)
    if missed:
        sys.exit(f"missed: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
