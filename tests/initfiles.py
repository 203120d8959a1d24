"""The init files of a network, and their scripts at work in one of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from rootfs_tool import initscripts
from rootfs_tool.console.base import Line
from rootfs_tool.initscripts import Init
from rootfs_tool.network import Network
from rootfs_tool.tree import File, Tree


def network(**more: object) -> Network:
    interface = {"name": "eth0", "address": "10.0.2.15/24", "gateway": "10.0.2.2", "wait": 1}
    table = {"hostname": "board", "interface": [interface], **more}
    return Network.model_validate(table)


def rendered(
    network: Network,
    *,
    line: Line | None = None,
    modules: tuple[str, ...] = (),
    root_password: str | None = None,
    root: str = "ram",
) -> dict[str, str]:
    """The text of every init file, by its path."""
    tree = Tree()
    how = Init(
        network=network,
        line=line or Line(),
        modules=modules,
        root_password=root_password,
        root=root,
    )
    initscripts.add(tree, how)
    return {
        str(path): node.content.decode()
        for path, node in tree.walk()
        if isinstance(node, File) and isinstance(node.content, bytes)
    }


def in_namespace(busybox: Path, scripts: dict[str, str], directory: Path, commands: str) -> str:
    """What ``commands`` say, run where the only network is a new one, with a board's programs."""
    for path, text in scripts.items():
        if path.startswith("/etc/init.d/S"):
            (directory / Path(path).name).write_text(text)
            (directory / Path(path).name).chmod(0o755)
    done = subprocess.run(
        [
            "unshare",
            "--net",
            "--mount",
            busybox / "sh",
            "-c",
            f"mount -t sysfs sysfs /sys\n{commands}",
        ],
        cwd=directory,
        env={"PATH": str(busybox)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=30,
    )
    return done.stdout
