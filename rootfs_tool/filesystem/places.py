"""To what a byte of an image belongs: a file, or a table of the file system or of the card."""

from __future__ import annotations

from collections.abc import Iterable

from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.base import Entry
from rootfs_tool.filesystem.cpio import Cpio
from rootfs_tool.filesystem.erofs import Erofs
from rootfs_tool.filesystem.ext4 import Ext4
from rootfs_tool.filesystem.ext4inode import Volume as Disk
from rootfs_tool.filesystem.fat import Fat
from rootfs_tool.filesystem.opened import Opened, Volume
from rootfs_tool.filesystem.squashfs import Squashfs

JOURNAL = 8  # its inode's number (linux/fs/ext4/ext4.h)
SECTOR = 512
GPT = 34  # sectors that a GPT of 128 entries takes, with the MBR before it


def place(image: Opened, offset: int) -> str:
    """What lies at the byte ``offset`` of the image file, in words that end a sentence."""
    for volume in image.volumes:
        if volume.kind and volume.start <= offset < volume.start + volume.size:
            return _in_volume(volume, offset)
        partition = volume.partition
        if partition is not None and partition.start <= offset < partition.start + partition.size:
            return f"partition {partition.number}, whose contents are not known here"
    return _outside(image, offset)


def _outside(image: Opened, offset: int) -> str:
    first = min(volume.start for volume in image.volumes)
    gpt = any(one.partition is not None and "-" in one.partition.type for one in image.volumes)
    if 440 <= offset < 444:
        return "the disk's signature in the MBR"
    if offset < SECTOR:
        return "the MBR" if offset < 446 else "the MBR's table of partitions"
    if gpt and (offset < GPT * SECTOR or offset >= image.size - (GPT - 1) * SECTOR):
        return "the GPT"
    return "the gap before the first partition" if offset < first else "no partition"


def _in_volume(volume: Volume, offset: int) -> str:
    try:
        return volume.prefix + (_in_file(volume.entries.values(), offset) or _table(volume, offset))
    except ConfigError as error:
        return f"{volume.prefix}the {volume.kind} file system, which can't be read: {error}"


def _in_file(entries: Iterable[Entry], offset: int) -> str:
    """Which file has this byte, and where in it; "" if none has."""
    for entry in entries:
        before = 0
        for start, length in entry.extents:
            if start <= offset < start + length:
                return f"{entry.path}, its byte {before + offset - start}"
            before += length
    return ""


def _table(volume: Volume, offset: int) -> str:
    filesystem = volume.filesystem
    if isinstance(filesystem, Ext4 | Fat) and not any(
        start <= offset < end for start, end in filesystem.used()
    ):
        return f"/ (a free part of the {volume.kind})"
    match filesystem:
        case Cpio() as cpio:
            name = cpio.record_at(offset)
            return f"/ (the archive's record of {name})" if name else "/ (the packed archive)"
        case Squashfs() as squashfs:
            return _squashfs(squashfs, offset - volume.start, offset)
        case Ext4() as ext4:
            return _ext4(ext4, offset - volume.start, volume)
        case Fat() as fat:
            return _fat(fat, offset - volume.start)
        case Erofs():
            return "/ (the erofs's superblock, inodes, names or packed files)"
        case _:
            return "/"


def _squashfs(squashfs: Squashfs, at: int, offset: int) -> str:
    tables = squashfs.tables
    if at < 96:
        return "/ (the squashfs's superblock)"
    if at < tables.inodes:
        files = squashfs.files_at(offset)
        more = f" and {len(files) - 1} more files" if len(files) > 1 else ""
        return f"{files[0]}{more}, compressed" if files else "/ (the squashfs's packed files)"
    if at < tables.directories:
        return "/ (the squashfs's inodes)"
    return "/ (the squashfs's names, numbers or attributes)"


def _fat(fat: Fat, at: int) -> str:
    geometry = fat.geometry
    if at < geometry.fat:
        return "/ (the FAT's boot sectors)"
    if at < (geometry.fixed_root or geometry.data):
        copy, inside = divmod(at - geometry.fat, geometry.fat_size)
        return f"/ (copy {copy + 1} of the FAT, its byte {inside})"
    if at < geometry.data:
        return "/ (the FAT's root directory)"
    cluster = (at - geometry.data) // geometry.cluster + 2
    return f"/ (cluster {cluster} of the FAT: a directory, or behind a file's last byte)"


def _ext4(ext4: Ext4, at: int, volume: Volume) -> str:
    disk = ext4.volume
    superblock = disk.superblock
    block = at // superblock.block_size
    if 1024 <= at < 2048:
        return f"/ (the ext4's superblock, its byte {at - 1024})"
    per_block = superblock.block_size // superblock.inode_size
    table = -(-superblock.inodes_per_group // per_block)
    for number, group in enumerate(disk.groups):
        if block == group.block_bitmap:
            return f"/ (the bitmap of blocks of the ext4's group {number})"
        if block == group.inode_bitmap:
            return f"/ (the bitmap of inodes of the ext4's group {number})"
        if group.inode_table <= block < group.inode_table + table:
            inside = at - group.inode_table * superblock.block_size
            index, byte = divmod(inside, superblock.inode_size)
            inode = number * superblock.inodes_per_group + index + 1
            return f"{_named(volume, inode)}, byte {byte} of its inode {inode}"
    if _has(disk, JOURNAL, block):
        return "/ (the ext4's journal)"
    for path, entry in volume.entries.items():
        if entry.is_directory and _has(disk, entry.inode, block):
            return f"{path}, a directory, its names"
    return f"/ (block {block} of the ext4: descriptors of its groups, or behind a file's last byte)"


def _has(disk: Disk, inode: int, block: int) -> bool:
    """Whether the block is one of that inode's."""
    return any(0 <= block - run.block < run.count for run in disk.runs(disk.inode(inode)))


def _named(volume: Volume, inode: int) -> str:
    names = [path for path, entry in volume.entries.items() if entry.inode == inode]
    return str(names[0]) if names else "/ (none of the files)"
