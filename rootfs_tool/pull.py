"""rootfs-tool pull: files from a board, by its network where it has one, else over the line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rootfs_tool.carrier import Carrier, Over, check_names
from rootfs_tool.events import note, step
from rootfs_tool.shell import Shell
from rootfs_tool.transfer import Received, fetch


def pull(
    shell: Shell, names: Sequence[str], to: Path, *, over: Over, flow_control: bool
) -> Iterator[Received]:
    """Fetch files of the board to ``to``, a directory if there are several; each as it is here.

    Raises ConfigError for two of one name, what is no file or cannot be written here, and
    ConsoleError.
    """
    check_names([name.rstrip("/").rpartition("/")[2] for name in names])
    carrier = Carrier(shell, over)
    for name in names:
        with step(f"pull {name}"):
            got = fetch(shell, name, to, flow_control=flow_control, network=carrier.from_board)
            how = " by TFTP" if got.carried else ""
            note(f"{got.path}: {got.size:,} bytes{how}, whole as {got.tool} says")
        yield got
