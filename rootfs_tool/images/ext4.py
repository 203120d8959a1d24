"""Writes an ext4 into its place in an image file: mke2fs makes it, and the tree is laid into it.

``mke2fs -d`` takes owners, devices, attributes and times from this host's disk, where an ordinary
user can't set them, and debugfs can't name every file; so only the empty file system is theirs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from uuid import UUID

from rootfs_tool import proc
from rootfs_tool.errors import ConfigError
from rootfs_tool.images.base import Contents, ImageFormat
from rootfs_tool.images.ext4records import BLOCK, INODE
from rootfs_tool.model import Field
from rootfs_tool.tree import Directory, File, Tree
from rootfs_tool.tree import size as size_of

MIB = 1 << 20
LEAST = 16  # MiB
JOURNAL = 4  # MiB: the least that the kernel takes, and all of it has to be flashed
FREE = 16  # MiB of room, and a quarter of what is in it
BYTES_PER_INODE = 16_384  # as mke2fs.conf(5) has it
GROWS_TO = 1 << 28  # blocks: 1 TiB, for half a MiB of room to list the groups of it in

# All that a kernel of these ten years knows, named so that no release of mke2fs decides.
FEATURES = (
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,"
    "large_file,huge_file,dir_nlink,extra_isize,metadata_csum"
)
# Two images of one tree are one file system, whoever built them.
ROOT_UUID = UUID("7c5c1c9b-6f0e-4b0e-9d5a-4d1f0a4f6c11")


class Ext4(ImageFormat):
    """The rootfs as an ext4, for a disk or a partition of the board."""

    type: Literal["ext4"] = "ext4"

    size: int | None = Field(default=None, ge=LEAST)
    """Its size in MiB; what the rootfs needs, and some room, if it is not given."""

    @property
    def filename(self) -> str:
        return "rootfs.ext4"

    def write(self, contents: Contents, out: Path, *, epoch: int) -> None:
        size = needed(contents.rootfs) if self.size is None else self.size * MIB
        with out.open("wb") as file:
            file.truncate(size)
        write(
            contents.rootfs, out, offset=0, size=size, epoch=epoch, label="rootfs", uuid=ROOT_UUID
        )


def needed(tree: Tree) -> int:
    """Bytes, a multiple of 1 MiB, of a file system that holds the tree and has room to work in."""
    blocks = inodes = 0
    for _, node in tree.walk():
        inodes += 1
        match node:
            case File():
                blocks += -(-size_of(node) // BLOCK) + bool(node.xattrs)
            case Directory():
                blocks += 1 + bool(node.xattrs)
            case _:
                blocks += 1  # of a long link; and some for the directories with many names
    used = (blocks + GROWS_TO // (BLOCK * 8) * 64 // BLOCK) * BLOCK + inodes * INODE
    comfortable = used + used // 4 + (JOURNAL + FREE) * MIB
    return -(-comfortable // MIB) * MIB


def write(
    tree: Tree,
    image: Path,
    *,
    offset: int,
    size: int,
    epoch: int,
    label: str,
    uuid: UUID,
    key: str = "size",
) -> None:
    """Write a file system of ``size`` bytes, ``offset`` bytes into the file ``image``.

    Both are multiples of 1 MiB, and there the file is as long and holds zeros. No other byte of it
    changes. ``epoch``, in seconds since 1970, is every time in it. It can grow, mounted, with
    resize2fs(8). ``key`` is what said the size. Raises ConfigError naming it if the tree does not
    fit, MissingToolError without mke2fs.
    """
    if size < LEAST * MIB:
        raise ConfigError(f"an ext4 of {size // MIB} MiB is too small: {LEAST} are the least")
    inodes = max(size // BYTES_PER_INODE, sum(1 for _ in tree.walk()) * 5 // 4 + 64)
    proc.run(
        *("mke2fs", "-q", "-F", "-b", str(BLOCK), "-I", str(INODE), "-N", str(inodes), "-m", "0"),
        *("-J", f"size={JOURNAL}", "-L", label, "-U", str(uuid), "-O", FEATURES),
        # The kernel zeroes unused tables itself, and what lies there is zero already. Of several
        # -E the last one counts.
        "-E",
        f"lazy_itable_init=1,lazy_journal_init=1,nodiscard,hash_seed={uuid},"
        f"offset={offset},resize={max(GROWS_TO, size // BLOCK + 1)}",
        *(image, f"{size // 1024}k"),
        env={"MKE2FS_CONFIG": "/dev/null"},  # else this host's would have a say
    )
    from rootfs_tool.images import ext4fill  # much to load for those who only read a board

    try:
        ext4fill.fill(tree, image, offset=offset, epoch=epoch)
    except ext4fill.Full:
        raise ConfigError(
            f"{key}: the rootfs does not fit into an ext4 of {size // MIB} MiB",
            hint=f"{key} = {needed(tree) // MIB} holds it and leaves some room",
        ) from None
