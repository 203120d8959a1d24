"""Every image twice, in surroundings that have nothing in common: the same bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rootfs_tool import paths
from rootfs_tool.imagediff import first_difference
from tests.command import PROGRAM

CHECKOUT = Path(__file__).parent.parent
IMAGES = """
[[image]]
type = "ext4"
[[image]]
type = "squashfs"
[[image]]
type = "sdcard"
data-size = {data}
"""
ELSEWHERE = """\
import os, sys
os.umask(0o077)
sys.argv[0] = "rootfs-tool"
from rootfs_tool.cli import main
main()
"""


def recipe(where: Path, root: str) -> Path:
    overlay = where / "overlay" / "opt"
    overlay.mkdir(parents=True)
    names = ["b", "a", "Å", "c d"]
    for name in names if os.geteuid() else reversed(names):
        (overlay / name).write_text(name * 3000)
    os.setxattr(overlay / "a", "user.origin", b"here")
    (overlay / "link").symlink_to("a")
    path = where / "recipe.toml"
    data = 16 if root == "overlay" else 0
    wanted = f'board = "raspberrypi3"\nroot = "{root}"\noverlay = ["overlay"]\n'
    path.write_text(wanted + IMAGES.format(data=data))
    shutil.copy(CHECKOUT / "boards" / "raspberrypi3.lock", where / "recipe.lock")
    return path


@pytest.mark.network
@pytest.mark.root
@pytest.mark.parametrize("root", ["ram", "card", "overlay"])
def test_another_user_elsewhere_next_year(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, root: str
) -> None:
    here = tmp_path / "here"
    subprocess.run(
        [PROGRAM, "build", recipe(here, root), "-o", here / "out"],
        check=True,
        capture_output=True,
        env={**os.environ, "TZ": "UTC", "LANG": "C.UTF-8"},
    )
    with_a_space = tmp_path / "some where else"
    recipe(with_a_space, root)
    for path in (with_a_space, *with_a_space.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    for one in (tmp_path, *tmp_path.parents[:2]):
        one.chmod(one.stat().st_mode | 0o711)
    subprocess.run(
        [
            *("setpriv", "--reuid=65534", "--clear-groups", "--regid=65534"),
            # the checkout and the cache may be in a home that nobody else can enter
            *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
            *("faketime", "2028-02-29 23:59:58", "taskset", "--cpu-list", "0"),
            *(sys.executable, "-c", ELSEWHERE, "build", "recipe.toml", "-o", "out"),
        ],
        check=True,
        cwd=with_a_space,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(with_a_space),
            "XDG_CACHE_HOME": str(paths.cache().parent),
            "PYTHONPATH": str(CHECKOUT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "7",
            "TZ": "America/St_Johns",
            "LC_ALL": "tr_TR.UTF-8",
        },
    )
    images = sorted(path.name for path in (here / "out").glob("*.*") if path.suffix != ".json")
    assert {"initramfs.cpio.zst", "rootfs.ext4", "rootfs.squashfs", "sdcard.img"} <= set(images)
    for name in images:
        assert first_difference(here / "out" / name, with_a_space / "out" / name) == ""
