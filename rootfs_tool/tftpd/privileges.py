"""Root's rights, given up for good once the port is open."""

from __future__ import annotations

import ctypes
import os
import pwd
import stat

from rootfs_tool.errors import ConfigError

_PR_SET_NO_NEW_PRIVS = 38  # prctl(2)
_NOBODY = "nobody"

_libc = ctypes.CDLL(None, use_errno=True)


def drop(user: str | None, directory: int) -> str:
    """Become ``user``, by default who owns the open ``directory``, or nobody if that is root.

    Returns the name. The owner, because out/ in somebody's home is made by one who may read all of
    it. No set-user-ID program gives anything back (prctl(2), PR_SET_NO_NEW_PRIVS). Raises
    ConfigError if there is no such user.
    """
    entry = _entry(user, os.fstat(directory).st_uid)
    try:
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
        os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    except OSError as error:
        raise ConfigError(
            f"this process can't become {entry.pw_name}: {error.strerror}",
            hint="a container that holds it back can be told so: --user root",
        ) from None
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return entry.pw_name


def _entry(user: str | None, owner: int) -> pwd.struct_passwd:
    try:
        if user is not None:
            return pwd.getpwnam(user)
    except KeyError:
        raise ConfigError(f"--user {user}: there is no such user") from None
    try:
        return pwd.getpwuid(owner) if owner else pwd.getpwnam(_NOBODY)
    except KeyError:
        raise ConfigError(
            f"the directory belongs to user {owner}, which has no name here",
            hint="--user NAME says who the server is to be",
        ) from None


def unreadable(directory: int) -> list[str]:
    """The files in the open ``directory``, sorted, that this process may not read.

    Raises ConfigError if it may not even go in.
    """
    if not os.access(".", os.X_OK, dir_fd=directory, effective_ids=True):
        raise ConfigError(
            f"user {os.geteuid()} may not read the directory that is to be served",
            hint="chmod o+rx DIR, or when started as root --user with the name of one who may",
        )
    try:
        listing = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    except PermissionError:
        return []  # its files can be had by name, as in many a /srv/tftp
    try:
        with os.scandir(listing) as entries:
            return sorted(entry.name for entry in entries if _hidden(entry.name, listing))
    finally:
        os.close(listing)


def _hidden(name: str, directory: int) -> bool:
    try:
        mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and not os.access(name, os.R_OK, dir_fd=directory, effective_ids=True)
