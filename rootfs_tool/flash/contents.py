"""What a device holds, by the signatures that libblkid knows: what a person would miss."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from rootfs_tool import proc
from rootfs_tool.errors import RootfsToolError
from rootfs_tool.printable import printable

WITHIN = 20.0  # seconds; a card that is dying answers late


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A file system or another use ("ext4", "swap", "LVM2_member"), or a table ("dos", "gpt")."""

    filesystem: str = ""
    label: str = ""
    table: str = ""


def read(device: Path) -> Contents:
    """What is on it, as far as that can be told: blkid(8), or lsblk(8) where we may not read.

    It is only shown to a person, so that what can't be found out is empty and no error.
    """
    try:
        found = _probed(device) if os.access(device, os.R_OK) else _remembered(device)
    except RootfsToolError:  # blkid exits 2 for what it doesn't know
        return Contents()
    values = {key: printable(value) for key, value in found.items() if isinstance(value, str)}
    return Contents(
        filesystem=values.get("TYPE", ""),
        label=values.get("LABEL", ""),
        table=values.get("PTTYPE", ""),
    )


def _probed(device: Path) -> dict[str, str]:
    said = proc.run("blkid", "--probe", "--output", "export", device, timeout=WITHIN)
    pairs = (word.partition("=") for word in shlex.split(said))
    return {key: value for key, _, value in pairs}


def _remembered(device: Path) -> dict[str, object]:
    """What udev saw when the device came, which every user may know."""
    columns = ("--json", "--nodeps", "--output", "FSTYPE,LABEL,PTTYPE")
    (found,) = json.loads(proc.run("lsblk", *columns, device, timeout=WITHIN))["blockdevices"]
    return {
        "TYPE": found["fstype"],
        "LABEL": found["label"],
        # lsblk gives a partition the table that it stands in
        "PTTYPE": found["pttype"] if not found["fstype"] else None,
    }
