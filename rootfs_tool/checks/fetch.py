"""Bring a file onto the board by TFTP and make sure that it is the same one."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from shlex import quote

from rootfs_tool.checks.base import Bench, CheckFailed

# The largest that RFC 2348 allows comes first: it is the fastest where every fragment arrives.
# 1428 passes any Ethernet or tunnel whole; 512 is what a server without options speaks.
BLOCK_SIZES = (65464, 1428, 512)
SLOWEST = 50_000  # bytes per second, below which an attempt counts as stuck
PATIENCE = 5.0  # seconds that every attempt gets on top
TO = "/tmp"
NO_ROOM = "No space left"  # what write(2) says too, and so tftp


def fetch(bench: Bench, file: Path) -> str:
    """Fetch ``file`` to the board, executable; returns its path there.

    Raises CheckFailed when the board has no room, no TFTP client or no way to this host, or when
    what arrived is something else.
    """
    name = file.name
    content = file.read_bytes()
    target = f"{TO}/{name}"
    said = ""
    for size in BLOCK_SIZES:
        seconds = PATIENCE + len(content) / SLOWEST
        result = bench.shell.run(_line(bench, file, size, seconds), timeout=seconds + 10)
        if result.status == 0:
            return _same(result.text, target, content)
        said = result.text.strip()
        if NO_ROOM in said:
            raise _full(bench, target, len(content))
        if "not found" in said:
            raise CheckFailed(f"the board has no tftp: {said}", hint="its BusyBox lacks the applet")
    raise CheckFailed(
        f"{name} did not arrive: {said or 'no answer to the TFTP request'}",
        hint=f"can the board reach UDP port {bench.server.port} of {bench.host}? "
        "A firewall on this host must let it in",
    )


def _line(bench: Bench, file: Path, size: int, seconds: float) -> str:
    """Ask for room, fetch, and take the digest: one command, because every one costs its time.

    The file may be there from an earlier run: its room counts as free. A root in RAM that df does
    not know about says nothing, and tftp itself says so if that is full.
    """
    name, target = file.name, f"{TO}/{file.name}"
    kib = (file.stat().st_size + 1023) // 1024
    where = f"{bench.host} {bench.server.port}"
    get = f"tftp -g -b {size} -l {quote(target)} -r {quote(name)} {where} 2>&1 >/dev/null"
    limited = f"timeout {seconds:.0f} {get}" if size > BLOCK_SIZES[-1] else get
    return (
        f"[ ! -e {quote(target)} ] || rm -f {quote(target)}\n"
        f"df -Pk {TO} 2>/dev/null | while read -r _ _ _ free _; do\n"
        f"case $free in '' | *[!0-9]*) ;; *) [ $free -ge {kib} ] || exit 1;; esac\ndone || "
        f"{{ echo '{NO_ROOM}'; exit 1; }}\n"
        f"{limited} && chmod 755 {quote(target)} && exec sha256sum <{quote(target)}\n"
        f"rm -f {quote(target)}; exit 1"
    )


def _same(said: str, target: str, content: bytes) -> str:
    wanted = hashlib.sha256(content).hexdigest()
    found = re.findall(r"\b[0-9a-f]{64}\b", said)
    got = found[-1] if found else "unknown"
    if got != wanted:
        raise CheckFailed(
            f"{target} arrived damaged: sha256 {got}, not {wanted}",
            hint="run it again; if it stays so, suspect the network card or the memory",
        )
    return target


def _full(bench: Bench, target: str, size: int) -> CheckFailed:
    fields = bench.shell.run(f"df -Pk {TO} 2>/dev/null | tail -n 1").text.split()
    there = f"; it has {fields[3]} of {fields[1]} KiB free" if len(fields) >= 6 else ""
    return CheckFailed(
        f"the board's {TO} has no room for {target}: {(size + 1023) // 1024} KiB{there}",
        hint=f"on the board: du -k {TO}, and delete what is not needed; or give it more memory",
    )
