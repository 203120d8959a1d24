"""The systemd units that open port 69 and start the server with the first request."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Literal

from rootfs_tool.errors import ConfigError

Unit = Literal["socket", "service"]


def unit(kind: Unit, *, command: Sequence[str], directory: Path, writes: Sequence[Path]) -> str:
    """The text of a unit that runs ``command``: as the owner of ``directory``, if that is not root.

    ``writes`` are the directories that the server must be able to write. See systemd.socket(5),
    systemd.service(5), systemd.exec(5). Raises ConfigError if there is no ``directory``.
    """
    text = resources.files("rootfs_tool.tftpd").joinpath(f"rootfs-tool-tftp.{kind}").read_text()
    if not directory.is_dir():
        raise ConfigError(
            f"no directory to serve: {directory}",
            hint="it must be there already: the unit's user is its owner",
        )
    owner = directory.owner()
    lines = "".join(f"ReadWritePaths={_word(str(path))}\n" for path in writes)
    return (
        text.replace("@WRITES@\n", lines)
        .replace("@USER@", "DynamicUser=yes" if owner == "root" else f"User={owner}")
        .replace("@DIR@", str(directory).replace("%", "%%"))
        .replace("@COMMAND@", " ".join(_word(one).replace("$", "$$") for one in command))
    )


def _word(text: str) -> str:
    """One word of a line, whatever is in it: systemd.syntax(7), "Quoting", and specifiers."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    return f'"{escaped}"'
