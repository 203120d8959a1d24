"""What services, users and the system log add to the init files, clean for every shell."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rootfs_tool import initscripts
from rootfs_tool.account import User
from rootfs_tool.console.base import Line
from rootfs_tool.initscripts import Init
from rootfs_tool.network import Network
from rootfs_tool.service import Service, ordered
from rootfs_tool.tree import File, Tree

RESPAWN = "/usr/lib/rootfs-tool/respawn"


def rendered(
    services: Sequence[Service], users: Sequence[User] = (), *, syslog: bool = True
) -> dict[str, File]:
    """Every init file that there is for the sake of these services, by its path."""
    tree = Tree()
    how = Init(
        network=Network(hostname="board"),
        line=Line(),
        modules=(),
        root_password=None,
        services=ordered(services),
        users=users,
        syslog=syslog,
    )
    initscripts.add(tree, how)
    return {str(path): node for path, node in tree.walk() if isinstance(node, File)}


def of(name: str, command: str, **more: Any) -> Service:
    how = {} if "pidfile" in more else {"background": True}
    return Service.model_validate({"name": name, "command": command, **how, **more})


def text(file: File) -> str:
    assert isinstance(file.content, bytes)
    return file.content.decode()


MORE: dict[str, Any] = {
    "user": "web",
    "environment": {"A": "3  4"},
    "directory": "/var/tmp",
    "stop_timeout": 3,
}
VARIANTS = [
    of("plain", "/usr/bin/plain"),
    of("daemon", "/usr/bin/daemon -x", pidfile="/tmp/a pidfile"),
    of("again", "/usr/bin/again", respawn=True),
    *(
        of(f"{kind}-more", "/usr/bin/'my prog' 'a b' \"it's\" ''", **how, **MORE)
        for kind, how in {
            "plain": dict[str, Any](),
            "daemon": {"pidfile": "/run/d/d.pid"},
            "again": {"respawn": True},
        }.items()
    ),
]


def test_every_script_is_posix_and_clean(tmp_path: Path) -> None:
    files = rendered(VARIANTS, [User(name="web")])
    names = [
        "S50plain",
        "S51daemon",
        "S52again",
        "S53plain-more",
        "S54daemon-more",
        "S55again-more",
    ]
    paths = [*(f"/etc/init.d/{name}" for name in names), RESPAWN, "/etc/init.d/S01syslog"]
    for path in paths:
        assert files[path].mode == 0o755
        assert text(files[path]).startswith("#!/bin/sh\n# ")
        assert "\n\n\n" not in text(files[path])
        copy = tmp_path / Path(path).name
        copy.write_text(text(files[path]))
        for shell in (["sh"], ["busybox", "sh"]):
            subprocess.run([*shell, "-n", copy], check=True)
    done = subprocess.run(
        ["shellcheck", "--shell=sh", *tmp_path.iterdir()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""


def test_what_is_not_wanted_is_not_there() -> None:
    files = rendered([of("a", "/usr/bin/a")], syslog=False)
    assert not {RESPAWN, "/etc/init.d/S01syslog"} & files.keys()


def test_users_in_the_files_that_name_them() -> None:
    users = [
        User(name="web", password="$6$salt$hash", groups=("dialout", "tty")),
        User.model_validate(
            {"name": "daemon", "uid": 7, "group": "lab", "shell": "/usr/bin/x", "home": "/srv/d"}
        ),
    ]
    files = rendered([], users)
    assert text(files["/etc/passwd"]).splitlines()[2:] == [
        "web:x:1000:1000:web:/home/web:/bin/sh",
        "daemon:x:7:2000:daemon:/srv/d:/usr/bin/x",
    ]
    assert text(files["/etc/shadow"]).splitlines()[2:] == [
        "web:$6$salt$hash:::::::",
        "daemon:*:::::::",
    ]
    assert files["/etc/shadow"].mode == 0o600
    assert text(files["/etc/group"]).splitlines() == [
        *("root:x:0:", "tty:x:5:web", "dialout:x:20:web", "web:x:1000:", "lab:x:2000:"),
        "nogroup:x:65534:",
    ]
    assert text(files["/etc/shells"]).splitlines()[1:] == [
        *("/bin/sh", "/bin/ash", "/usr/bin/x"),
    ]
