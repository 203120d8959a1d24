"""The users of a board beside root and nobody: who they are, and how they may log in."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from rootfs_tool.errors import ConfigError
from rootfs_tool.model import AtOnce, Field, Matching, Model, field_validator
from rootfs_tool.service import BoardPath, UserName, said
from rootfs_tool.tree import Directory, File, Tree

FIRST_ID = 1000  # of users and their own groups, as Debian counts
FIRST_GROUP = 2000  # of groups that are neither a user's own nor known
SYSTEM = ("root", "nobody")  # the users that every board has
# Debian's numbers for the groups that devices and logs belong to (base-passwd).
GROUPS = {
    "root": 0,
    "daemon": 1,
    "sys": 3,
    "adm": 4,
    "tty": 5,
    "disk": 6,
    "kmem": 15,
    "dialout": 20,
    "cdrom": 24,
    "audio": 29,
    "video": 44,
    "plugdev": 46,
    "users": 100,
    "nogroup": 65534,
}
# Homes that are more than one user's, that lie among the system's own, or that a boot empties.
_SHARED = ("/", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/var", "/var/lib", "/var/log")
_SYSTEM = ("/bin", "/boot", "/etc", "/lib", "/sbin", "/usr")
_FLEETING = ("/dev", "/proc", "/run", "/sys", "/tmp", "/var/run")
# crypt(5): SHA-256 and SHA-512; nothing in them can end a field of /etc/shadow. Debian's BusyBox
# knows no yescrypt ($y$): with one, its login refuses every password.
_HASH = re.compile(r"\$[56]\$[A-Za-z0-9./=,$]+")
# What may follow "ssh-" and its kin in an authorized_keys file: OpenSSH's and dropbear's.
_KEY = re.compile(
    r"(?:^|\s)(?P<type>ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)"
    r"|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)[ \t]+(?P<key>[A-Za-z0-9+/]+=*)(?=\s|$)"
)

UserId = Annotated[int, Field(ge=1, le=65533)]
GroupName = Annotated[
    str,
    Matching(
        "[a-z_][a-z0-9_-]{0,31}",
        "a group's name: a small letter or _, then up to 31 small letters, digits, _ and -",
    ),
]


def hashed(value: str | None) -> str | None:
    """Pass a crypt(5) hash that BusyBox knows, an empty text and None. Raises ValueError."""
    if value and value.startswith("$y$"):
        raise ValueError("is yescrypt, which BusyBox does not know; use openssl passwd -6")
    if value and not _HASH.fullmatch(value):
        raise ValueError(
            "must be a hash, never the password itself; this makes one: openssl passwd -6"
        )
    return value


def public_key(text: str) -> str:
    """One line of an authorized_keys file (sshd(8)), without blanks around it.

    Raises ValueError if it is none, without showing it: it might be a private one.
    """
    line = text.strip()
    if "PRIVATE KEY" in line:
        raise ValueError("is a private key, which never leaves its owner; put in the .pub file's")
    if not line.isprintable():
        raise ValueError("must be one line")
    if (found := _KEY.search(line)) is None:
        raise ValueError("is no public key; one looks like ssh-ed25519 AAAAC3… name@host")
    kind = found["type"].encode()
    try:
        blob = base64.b64decode(found["key"], validate=True)
    except binascii.Error:
        blob = b""
    # RFC 4253, section 6.6: the key begins with the name of its type.
    if not blob.startswith(len(kind).to_bytes(4, "big") + kind) or len(blob) < len(kind) + 32:
        raise ValueError(f"is a damaged {found['type']} key: was all of it copied?")
    return line


class User(Model):
    """Somebody who may log in, or whom a service runs as."""

    name: UserName
    """The name to log in with."""

    uid: UserId | None = None
    """The number; without it 1000, 1001 and so on in the order written."""

    group: GroupName | None = None
    """The group of new files; without it one of the user's own name and number."""

    groups: tuple[GroupName, ...] = ()
    """Further groups; those that Debian numbers, as dialout, get that number."""

    home: BoardPath | None = None
    """The home directory, /home/NAME unless said otherwise."""

    shell: BoardPath = "/bin/sh"
    """What a login starts; /bin/false for a user that only a service runs as."""

    password: str | None = None
    """A hash from `openssl passwd -6`; without it no password logs in."""

    authorized_keys: tuple[str, ...] = ()
    """Public SSH keys that log in, each one line of a .pub file."""

    authorized_key_files: tuple[Path, ...] = ()
    """Files of this host with such lines, as ~/.ssh/id_ed25519.pub."""

    @field_validator("password")
    @classmethod
    def _hashed(cls, value: str | None) -> str | None:
        if value == "":
            raise ValueError("is empty, and would let anyone log in; leave it out to let none")
        return hashed(value)

    @field_validator("authorized_keys")
    @classmethod
    def _public(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(public_key(one) for one in value)

    @field_validator("home")
    @classmethod
    def _own(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if value in _SHARED or _below(value, _SYSTEM):
            raise ValueError(f"{value} is not one user's: its owner would become another")
        if _below(value, _FLEETING):
            raise ValueError(f"{value} is gone at every boot; /home or /var/lib stays")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user with every number settled: a line of /etc/passwd and one of /etc/shadow."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    password: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A line of /etc/group."""

    name: str
    gid: int
    members: tuple[str, ...]


def accounts(users: Sequence[User]) -> tuple[Account, ...]:
    """The users in the order written."""
    numbers = _numbers(users)
    groups = {group.name: group.gid for group in groups_of(users)}
    return tuple(
        Account(
            name=user.name,
            uid=numbers[user.name],
            gid=groups[user.group or user.name],
            home=user.home or f"/home/{user.name}",
            shell=user.shell,
            password=user.password,
        )
        for user in users
    )


def groups_of(users: Sequence[User]) -> tuple[Group, ...]:
    """The groups that the users need, with root's, tty's and nobody's, by number."""
    numbers = _numbers(users)
    named = {
        **dict.fromkeys(("root", "tty", "nogroup")),
        **dict.fromkeys(name for user in users for name in (user.group, *user.groups) if name),
    }
    known: dict[str, int] = {name: GROUPS[name] for name in named if name in GROUPS}
    known |= {user.name: numbers[user.name] for user in users if user.group in (None, user.name)}
    for name in named:
        if name not in known:
            taken = {*known.values(), *numbers.values()}
            known[name] = next(n for n in range(FIRST_GROUP, 65534) if n not in taken)
    members = {name: tuple(user.name for user in users if name in user.groups) for name in known}
    ordered = sorted(known.items(), key=lambda pair: pair[1])
    return tuple(Group(name=name, gid=gid, members=members[name]) for name, gid in ordered)


def keys_from(files: Iterable[Path]) -> tuple[str, ...]:
    """The lines of public keys in files of this host. Raises ConfigError naming file and line."""
    found = []
    for file in files:
        try:
            lines = file.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "is no text"
            raise ConfigError(f"{file}: {reason}", hint="ssh-keygen -t ed25519") from None
        for number, line in enumerate(lines, start=1):
            if line.strip() and not line.lstrip().startswith("#"):
                try:
                    found.append(public_key(line))
                except ValueError as error:
                    raise ConfigError(f"{file}: line {number}: {error}") from None
        if not found:
            raise ConfigError(f"{file}: holds no public key", hint="ssh-keygen -t ed25519")
    return tuple(found)


def authorize(tree: Tree, keys: Sequence[str], *, home: str, uid: int = 0, gid: int = 0) -> None:
    """Let whoever has one of the ``keys`` log in as the owner of ``home``.

    Keys that are there already, as an overlay's, stay. An SSH server ignores a file that anybody
    else may write, so that the modes are strict.
    """
    if not keys:
        return
    path = f"{home}/.ssh/authorized_keys"
    origin = "the authorized keys"
    there = tree.get(path)
    content = there.content if isinstance(there, File) else b""
    before = content.read_bytes() if isinstance(content, Path) else content
    lines = (*before.splitlines(), *(key.encode() for key in keys))
    text = b"".join(line + b"\n" for line in dict.fromkeys(lines))
    tree.add(f"{home}/.ssh", Directory(mode=0o700, uid=uid, gid=gid), origin=origin, replace=True)
    file = File(content=text, mode=0o600, uid=uid, gid=gid)
    tree.add(path, file, origin=origin, replace=True)


def settle(tree: Tree, users: Sequence[User]) -> None:
    """Give every user a home directory, and whatever an overlay laid there.

    What is in somebody's .ssh becomes nobody else's to read: ssh refuses a key that others know.
    """
    for home in ("/root", *(account.home for account in accounts(users))):
        for path, node in list(tree.walk(f"{home}/.ssh")):
            if isinstance(node, File | Directory):
                own = replace(node, mode=node.mode & 0o700)
                tree.add(path, own, origin="the .ssh of somebody", replace=True)
    for user, account in zip(users, accounts(users), strict=True):
        if not isinstance(tree.get(account.home), Directory) and account.home != "/nonexistent":
            own = Directory(mode=0o700, uid=account.uid, gid=account.gid)
            tree.add(account.home, own, origin=f"user {account.name}")
        for path, node in list(tree.walk(account.home)):
            if isinstance(node, File | Directory) and node.uid == 0 and node.gid == 0:
                mine = replace(node, uid=account.uid, gid=account.gid)
                tree.add(path, mine, origin=f"user {account.name}", replace=True)
        keys = (*user.authorized_keys, *keys_from(user.authorized_key_files))
        authorize(tree, keys, home=account.home, uid=account.uid, gid=account.gid)


def _below(path: str, tops: Iterable[str]) -> bool:
    return any(f"{path}/".startswith(f"{top}/") for top in tops)


def _numbers(users: Sequence[User]) -> dict[str, int]:
    """The uid of every user, by name."""
    taken = {user.uid for user in users if user.uid is not None}
    free = (number for number in range(FIRST_ID, 65534) if number not in taken)
    return {user.name: next(free) if user.uid is None else user.uid for user in users}


def together(rows: Sequence[Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """No name, number or home twice, and none of the system's."""
    taken: dict[tuple[str, object], str] = {("name", name): "the board" for name in SYSTEM}
    for index, row in enumerate(rows):
        for key in ("name", "uid", "home"):
            value = said(row, key)
            if value is None:
                continue
            if (key, value) in taken:
                owner = taken[key, value]
                yield (index, key), f"{owner} has {value} already{_instead(key, value)}"
            else:
                taken[key, value] = f"user[{index}]"


def _instead(key: str, value: object) -> str:
    return "; root's password is root-password" if (key, value) == ("name", "root") else ""


Users = Annotated[tuple[User, ...], AtOnce(together)]
