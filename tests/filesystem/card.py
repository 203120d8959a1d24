"""A card with two partitions, made by sfdisk, mkfs.vfat, mtools and mke2fs; twice the same."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

MIB = 1 << 20
BOOT, ROOT = 1 * MIB, 20 * MIB  # bytes at which the partitions begin
TIME = 1_735_689_600
UUID = "4f1b9e40-0d7e-4cc4-9d6e-0a5d1e0c0ffe"
TABLE = {
    "dos": "label: dos\nlabel-id: 0x12345678\n"
    "start=1MiB, size=16MiB, type=c, bootable\nstart=20MiB, size=24MiB, type=83\n",
    "gpt": f"label: gpt\nlabel-id: {UUID}\n"
    f"start=1MiB, size=16MiB, type=U, name=boot, uuid={UUID[:-1]}0\n"
    f"start=20MiB, size=24MiB, type=L, name=root, uuid={UUID[:-1]}1\n",
}


def boot_files(directory: Path) -> Path:
    """What the first partition holds."""
    (directory / "overlays").mkdir(parents=True)
    (directory / "config.txt").write_text("arm_64bit=1\nenable_uart=1\n")
    (directory / "kernel8.img").write_bytes(b"kernel" * 100_000)
    (directory / "overlays" / "uart.dtbo").write_bytes(b"\xd0\x0d\xfe\xed" * 100)
    return directory


def root_files(directory: Path) -> Path:
    """What the second partition holds."""
    (directory / "etc").mkdir(parents=True)
    (directory / "usr" / "bin").mkdir(parents=True)
    (directory / "etc" / "fstab").write_text("/dev/mmcblk0p2 / ext4 defaults 0 1\n")
    (directory / "usr" / "bin" / "busybox").write_bytes(bytes(range(256)) * 4000)
    (directory / "bin").symlink_to("usr/bin")
    (directory / "sh").symlink_to("/bin/busybox")
    (directory / "round").symlink_to("round")
    return directory


def make(image: Path, boot: Path, root: Path, *, table: str = "dos") -> Path:
    """The same directories give the same bytes, but for the times that the host keeps."""
    with image.open("wb") as file:
        file.truncate(48 * MIB)
    sfdisk = ("sfdisk", "--quiet", "--no-tell-kernel", "--no-reread", image)
    subprocess.run(sfdisk, input=TABLE[table].encode(), check=True, capture_output=True)
    fat = ("mkfs.vfat", "--invariant", "-i", "12345678", "-n", "BOOT", "-F", "16")
    run(*fat, f"--offset={BOOT // 512}", image, str(16 * MIB // 1024))
    for path in sorted(boot.rglob("*")):
        os.utime(path, (TIME, TIME))
        to = f"::/{path.relative_to(boot)}"
        make_one = ("mmd", to) if path.is_dir() else ("mcopy", "-m", path, to)
        run(make_one[0], "-i", f"{image}@@{BOOT}", *make_one[1:])
    for path in (root, *root.rglob("*")):
        os.utime(path, (TIME, TIME), follow_symlinks=False)
    options = f"hash_seed={UUID},root_owner=0:0,offset={ROOT}"
    ext4 = ("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-U", UUID, "-L", "rootfs", "-E", options)
    run(*ext4, "-d", root, image, str(24 * MIB // 4096))
    return image


def run(*argv: str | Path) -> None:
    times = {"SOURCE_DATE_EPOCH": str(TIME), "E2FSPROGS_FAKE_TIME": str(TIME), "TZ": "UTC"}
    env = {**os.environ, **times, "MTOOLS_SKIP_CHECK": "1", "MTOOLSRC": "/dev/null"}
    subprocess.run(argv, check=True, capture_output=True, env=env)


def changed(image: Path, copy: Path, offset: int, byte: bytes = b"\xfe") -> Path:
    """A copy with another byte there."""
    copy.write_bytes(image.read_bytes())
    with copy.open("r+b") as file:
        file.seek(offset)
        assert file.read(1) != byte
        file.seek(offset)
        file.write(byte)
    return copy
