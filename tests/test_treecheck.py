"""What a service or a program of yours lacks is told before there is an image, all at once."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from rootfs_tool import elfheaders, treecheck
from rootfs_tool.account import Account
from rootfs_tool.arch import Arch
from rootfs_tool.errors import ConfigError
from rootfs_tool.service import Service
from rootfs_tool.tree import Directory, File, Symlink, Tree

CROSS = Path("/usr/aarch64-linux-gnu/lib")
LD = "/lib/ld-linux-aarch64.so.1"
C = "int main(void) { return 0; }"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs as people build them: static, dynamic, with libraries, for the host, halfway."""
    directory = tmp_path_factory.mktemp("built")
    (directory / "c.c").write_text(C)
    (directory / "own.c").write_text("int own(void) { return 1; }")

    def gcc(*argv: str) -> None:
        subprocess.run(["aarch64-linux-gnu-gcc", *argv], cwd=directory, check=True)

    gcc("-static", "-s", "-o", "static", "c.c")
    gcc("-static-pie", "-s", "-o", "pie", "c.c")
    gcc("-s", "-o", "dynamic", "c.c")
    gcc("-shared", "-fPIC", "-s", "-o", "libown.so", "own.c", "-Wl,--no-as-needed", "-lm")
    own = ("-Wl,--no-as-needed", "-L.", "-lown", "-Wl,-rpath,$ORIGIN/lib")
    gcc("-s", "-o", "rpath", "c.c", *own)
    gcc("-c", "-o", "object.o", "c.c")
    shutil.copy("/bin/true", directory / "host")
    (directory / "cut").write_bytes((directory / "static").read_bytes()[:3000])
    return directory


def tree_with(files: dict[str, Path | bytes | str], mode: int = 0o755) -> Tree:
    """A tree with BusyBox' sh; a text is where a symbolic link leads."""
    tree = Tree()
    tree.add("/bin", Symlink("usr/bin"), origin="test")
    tree.add("/sbin", Symlink("usr/bin"), origin="test")
    tree.add("/lib", Symlink("usr/lib"), origin="test")
    busybox = shutil.which("busybox")
    assert busybox is not None
    tree.add("/usr/bin/busybox", File(content=b"\x7fELF", mode=0o755), origin="test")
    tree.add("/usr/bin/sh", Symlink("busybox"), origin="test")
    tree.add("/usr/bin/env", Symlink("busybox"), origin="test")
    for path, content in files.items():
        node = Symlink(content) if isinstance(content, str) else File(content=content, mode=mode)
        tree.add(path, node, origin="test")
    return tree


def of(command: str, **more: object) -> Service:
    return Service.model_validate({"name": "it", "command": command, "background": True, **more})


def wrong(tree: Tree, *services: Service) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        treecheck.check(tree, services, Arch.aarch64)
    return str(caught.value).splitlines()


def test_what_runs_passes(built: Path) -> None:
    libraries: dict[str, Path | bytes | str] = {
        LD: CROSS / "ld-linux-aarch64.so.1",
        "/usr/lib/aarch64-linux-gnu/libc.so.6": CROSS / "libc.so.6",
        "/usr/lib/aarch64-linux-gnu/libm.so.6": CROSS / "libm.so.6",
        "/opt/app/lib/libown.so": built / "libown.so",
        "/opt/app/rpath": built / "rpath",
        "/usr/bin/static": built / "static",
        "/usr/bin/pie": built / "pie",
        "/usr/bin/dynamic": built / "dynamic",
        "/usr/bin/link": "/usr/sbin/../bin/dynamic",
        "/usr/bin/script": b"#!/bin/sh -e\n",
        "/usr/bin/env-script": b"#! /usr/bin/env -S sh -e\n",
        "/usr/bin/no-program": b"\x00",  # of a FAT, where every file is executable
    }
    tree = tree_with(libraries)
    tree.add("/usr/sbin", Symlink("bin"), origin="test")
    names = ("/opt/app/rpath", "/bin/static", "/sbin/pie", "/usr/bin/dynamic", "/bin/link -d")
    services = [of(name) for name in (*names, "/bin/script", "/usr/bin/env-script")]
    treecheck.check(tree, services, Arch.aarch64)


def test_a_directory_that_is_made_for_a_pidfile(built: Path) -> None:
    tree = tree_with({"/usr/bin/daemon": built / "static"})
    pidfile = "/run/web/web.pid"
    service = of("/usr/bin/daemon", pidfile=pidfile, background=False, directory="/run/web")
    treecheck.check(tree, [service], Arch.aarch64)
    other = service.model_copy(update={"directory": "/run/we"})
    assert wrong(tree, other) == ["service it: its directory /run/we is not in the rootfs"]


def test_a_command_that_is_not_there(built: Path) -> None:
    tree = tree_with({"/usr/bin/aesdsocket": built / "static", "/etc/conf": b""}, mode=0o755)
    tree.add("/etc/file", File(content=b"x"), origin="test")
    tree.add("/usr/bin/loop", Symlink("loop"), origin="test")
    lines = wrong(
        tree,
        of("/usr/bin/aesdsockt"),
        of("/opt/aesdsocket"),
        of("/usr/bin/zzz"),
        of("/etc"),
        of("/etc/file"),
        of("/etc/conf"),
        of("/usr/bin/loop"),
        of("/bin/aesdsocket", directory="/var/lib/it"),
    )
    assert lines == [
        "service it: /usr/bin/aesdsockt is not in the rootfs; did you mean /usr/bin/aesdsocket?",
        "service it: /opt/aesdsocket is not in the rootfs; did you mean /usr/bin/aesdsocket?",
        "service it: /usr/bin/zzz is not in the rootfs",
        "service it: /etc is not a file",
        (
            "service it: /etc/file is not executable, its mode is 0o644; a source says "
            "mode = 0o755, a file of an overlay needs chmod +x"
        ),
        "service it: /etc/conf is neither an ELF program nor a script with #!",
        "service it: /usr/bin/loop is not in the rootfs",
        "service it: its directory /var/lib/it is not in the rootfs",
    ]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("host", "is built for x86-64, the board is aarch64"),
        ("object.o", "is an object file, not linked into a program"),
        ("cut", "is cut short"),
    ],
)
def test_a_program_that_is_none_for_the_board(built: Path, name: str, reason: str) -> None:
    tree = tree_with({"/usr/bin/it": built / name})
    assert wrong(tree, of("/usr/bin/it")) == [
        f"service it: /usr/bin/it {reason}",
    ]
    assert wrong(tree) == [f"{built / name}: {reason}"]


def test_an_interpreter_and_libraries_that_are_not_there(built: Path) -> None:
    tree = tree_with({"/opt/rpath": built / "rpath", "/opt/lib/libown.so": built / "libown.so"})
    reasons = {
        f"is linked dynamically and wants {LD}, not in the rootfs",
        "wants libc.so.6, which is not in the rootfs",
        "wants libm.so.6 for libown.so, which is not in the rootfs",
    }
    assert set(wrong(tree)) == {f"{built / 'rpath'}: {reason}" for reason in reasons}
    with pytest.raises(ConfigError) as caught:
        treecheck.check(tree, [of("/opt/rpath")], Arch.aarch64)
    lines = str(caught.value).splitlines()
    assert set(lines) == {f"service it: /opt/rpath {reason}" for reason in reasons}
    assert caught.value.hint == (
        'packages = ["libc6"] brings it; or link statically: aarch64-linux-gnu-gcc -static'
    )
    tree = tree_with({"/opt/rpath": built / "rpath", LD: CROSS / "ld-linux-aarch64.so.1"})
    with pytest.raises(ConfigError, match=r"wants libown\.so, which") as caught:
        treecheck.check(tree, [of("/opt/rpath")], Arch.aarch64)


def test_libraries_are_found_where_the_environment_says(built: Path) -> None:
    tree = tree_with(
        {
            LD: CROSS / "ld-linux-aarch64.so.1",
            "/opt/libs/libc.so.6": CROSS / "libc.so.6",
            "/usr/bin/it": (built / "dynamic").read_bytes(),
        }
    )
    assert len(wrong(tree, of("/usr/bin/it"))) == 1
    treecheck.check(
        tree, [of("/usr/bin/it", environment={"LD_LIBRARY_PATH": "/x:/opt/libs"})], Arch.aarch64
    )


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (b"#!/usr/bin/python3\n", "wants /usr/bin/python3, which is not in the rootfs"),
        (b"#!/usr/bin/env python3\n", "wants python3, which is not in the rootfs"),
        (b"#!/bin/sh\r\necho\r\n", "has lines that end in CR LF: its interpreter is not found"),
        (b"#!\n", "has #! without an interpreter"),
    ],
)
def test_a_script_without_its_interpreter(tmp_path: Path, script: bytes, reason: str) -> None:
    (tmp_path / "it").write_bytes(script)
    tree = tree_with({"/usr/bin/it": tmp_path / "it"})
    (line,) = wrong(tree, of("/usr/bin/it"))
    assert line.startswith(f"service it: /usr/bin/it {reason}")
    (line,) = wrong(tree)
    assert line.startswith(f"{tmp_path}/it: {reason}")


def test_a_program_that_its_user_may_not_run(built: Path) -> None:
    web = Account(name="web", uid=7, gid=8, home="/x", shell="/x", password=None)  # noqa: S604
    service = of("/opt/it", user="web")
    for node, passes in {
        File(content=built / "static", mode=0o750): False,
        File(content=built / "static", mode=0o750, uid=7): True,
        File(content=built / "static", mode=0o710, gid=8): True,
        File(content=built / "static", mode=0o701): True,
    }.items():
        tree = tree_with({})
        tree.add("/opt/it", node, origin="test")
        if passes:
            treecheck.check(tree, [service], Arch.aarch64, [web])
        else:
            with pytest.raises(ConfigError, match="is not for web to execute: its mode is 0o750"):
                treecheck.check(tree, [service], Arch.aarch64, [web])


@pytest.mark.parametrize(
    ("home", "passes"),
    [
        (Directory(mode=0o700), False),
        (Directory(mode=0o700, uid=7), True),
        (Directory(mode=0o750, gid=20), True),  # its group may be one of the user's
        (Directory(mode=0o755), True),
    ],
)
def test_a_program_where_its_user_may_not_go(built: Path, home: Directory, passes: bool) -> None:
    web = Account(name="web", uid=7, gid=8, home="/x", shell="/x", password=None)  # noqa: S604
    tree = tree_with({})
    tree.add("/opt/app", home, origin="test")
    tree.add("/opt/app/bin/it", File(content=built / "static", mode=0o755), origin="test")
    treecheck.check(tree, [of("/opt/app/bin/it")], Arch.aarch64, [web])
    service = of("/opt/app/bin/it", user="web")
    if passes:
        treecheck.check(tree, [service], Arch.aarch64, [web])
    else:
        with pytest.raises(ConfigError, match="for web to execute: the mode of /opt/app is 0o700"):
            treecheck.check(tree, [service], Arch.aarch64, [web])


def test_what_comes_from_packages_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    gone = tmp_path / "rootfs-tool" / "unpacked" / "gone"
    treecheck.check(tree_with({"/usr/bin/gone": gone}), [], Arch.aarch64)
    with pytest.raises(ConfigError, match="gone: No such file"):
        treecheck.check(tree_with({"/usr/bin/gone": tmp_path / "gone"}), [], Arch.aarch64)


def test_a_library_of_yours_for_another_machine(built: Path) -> None:
    host = (built / "host").read_bytes()
    tree = tree_with({"/usr/lib/x.so": built / "host", "/usr/share/x86": built / "host"})
    assert wrong(tree) == [f"{built}/host: is built for x86-64, the board is aarch64"]
    assert elfheaders.read(host).needed == ("libc.so.6",)
    quiet = Tree()
    quiet.add("/srv/x86", File(content=built / "host"), origin="test")  # not to be run here
    quiet.add("/srv", Directory(), origin="test")
    treecheck.check(quiet, [], Arch.aarch64)


def test_any_damage_is_an_error_of_its_own(built: Path) -> None:
    whole = (built / "dynamic").read_bytes()
    assert elfheaders.read(whole).interpreter == LD
    damaged = [
        whole[:at] + value + whole[at + 2 :]
        for at in (*range(16, 64), *range(64, 900, 7))
        for value in (b"\xff\xff", b"\x00\x00", struct.pack("<H", 0x8000))
    ]
    damaged += [whole[:length] for length in range(0, len(whole), 101)]
    refused = 0
    for content in damaged:
        try:
            elfheaders.read(content)
        except ValueError:  # anything else is a bug
            refused += 1
    assert refused > 100
