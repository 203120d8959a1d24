"""Users: their numbers, groups and homes, and how they may log in."""

from __future__ import annotations

from pathlib import Path

import pytest

from rootfs_tool import account
from rootfs_tool.account import Account, User
from rootfs_tool.errors import ConfigError
from rootfs_tool.model import ValidationError
from rootfs_tool.tree import Directory, File, Symlink, Tree
from tests.test_service import mistakes

HASH = "$6$salt$hash"
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHXuqmzqYkYy1sXv8Y4bWmFzZWQgb24gbm90aGluZyBhdCBh"
ECDSA = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZM"
    "y7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg= name@host"
)


def test_numbers_are_settled() -> None:
    users = [User(name="a"), User(name="b", uid=1000), User(name="c")]
    assert [(one.name, one.uid, one.gid) for one in account.accounts(users)] == [
        ("a", 1001, 1001),
        ("b", 1000, 1000),
        ("c", 1002, 1002),
    ]
    assert account.accounts([User(name="d", home="/srv/d", password=HASH, uid=7)]) == (
        Account(  # noqa: S604  # no shell is started
            name="d", uid=7, gid=7, home="/srv/d", shell="/bin/sh", password=HASH
        ),
    )


def test_groups() -> None:
    users = [
        User(name="a", groups=("dialout", "lab", "b")),
        User(name="b", group="lab", groups=("tty",)),
        User(name="c", groups=("lab", "dialout")),
        User(name="d", group="d"),
    ]
    found = {one.name: (one.gid, one.members) for one in account.groups_of(users)}
    assert found == {
        "root": (0, ()),
        "tty": (5, ("b",)),
        "dialout": (20, ("a", "c")),
        "a": (1000, ()),
        "c": (1002, ()),
        "d": (1003, ()),
        "lab": (2000, ("a", "c")),
        "b": (2001, ("a",)),
        "nogroup": (65534, ()),
    }
    assert list(found) == [one.name for one in account.groups_of(users)]
    assert [one.gid for one in account.accounts(users)] == [1000, 2000, 1002, 1003]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('password = "secret"', "password: must be a hash, never the password itself; this makes"),
        ('password = "$y$j9T$salt$hash"', "password: is yescrypt, which BusyBox does not know"),
        ('password = ""', "password: is empty, and would let anyone log in"),
        ('authorized-keys = ["id.pub"]', "authorized-keys: is no public key; one looks like"),
        (
            'authorized-keys = ["-----BEGIN OPENSSH PRIVATE KEY-----"]',
            "authorized-keys: is a private key, which never leaves its owner",
        ),
        (
            f'authorized-keys = ["{ED25519[:-30]}"]',
            "authorized-keys: is a damaged ssh-ed25519 key: was all of it copied?",
        ),
        (
            f'authorized-keys = ["{ED25519}\\n{ED25519}"]',
            "authorized-keys: must be one line",
        ),
        ('home = "/etc"', "home: /etc is not one user's: its owner would become another"),
        ('home = "/usr/lib/me"', "home: /usr/lib/me is not one user's"),
        ('home = "/run/me"', "home: /run/me is gone at every boot; /home or /var/lib stays"),
        ('home = "/home/"', "home: must be an absolute path on the board, without a slash"),
        ("uid = 0", "uid: must be at least 1, not 0"),
        ('groups = ["a:b"]', "groups[0]: must be a group's name: a small letter or _"),
        ('shell = "sh"', "shell: must be an absolute path on the board"),
        ('name = "Web"', "name: must be a user's name: a small letter or _, then up to 31"),
        ('name = "root"', "name: the board has root already; root's password is root-password"),
        ('name = "nobody"', "name: the board has nobody already"),
    ],
)
def test_what_is_wrong_with_a_user(tmp_path: Path, lines: str, said: str) -> None:
    name = "" if lines.startswith("name") else 'name = "web"\n'
    (line,) = mistakes(tmp_path, f"[[user]]\n{name}{lines}\n")
    assert line.startswith(f"user[0].{said}")
    assert "secret" not in line


def test_two_users_of_one_number(tmp_path: Path) -> None:
    text = """
        [[user]]
        name = "a"
        uid = 1005
        home = "/srv/x"
        [[user]]
        name = "a"
        uid = 1005
        home = "/srv/x"
    """
    assert mistakes(tmp_path, text) == [
        "user[1].name: user[0] has a already",
        "user[1].uid: user[0] has 1005 already",
        "user[1].home: user[0] has /srv/x already",
    ]


def test_a_private_key_is_never_shown() -> None:
    with pytest.raises(ValidationError) as caught:
        User(name="a", authorized_keys=("PRIVATE KEY hidden",))
    assert "hidden" not in caught.value.errors()[0]["msg"]


def test_keys_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.pub"
    options = f'command="/bin/true",no-pty {ED25519}'
    file.write_text(f"# mine\n\n{ED25519} me@host \r\n{ECDSA}\n{options}\n")
    assert account.keys_from([file]) == (f"{ED25519} me@host", ECDSA, options)
    file.write_text(f"{ED25519}\nssh-dss AAAA\n")
    with pytest.raises(ConfigError, match=r"keys\.pub: line 2: is no public key"):
        account.keys_from([file])
    file.write_text("\n")
    with pytest.raises(ConfigError, match=r"keys\.pub: holds no public key"):
        account.keys_from([file])
    with pytest.raises(ConfigError, match=r"gone: No such file"):
        account.keys_from([tmp_path / "gone"])


def test_homes_belong_to_their_users(tmp_path: Path) -> None:
    key = tmp_path / "id.pub"
    key.write_text(f"{ECDSA}\n")
    users = [
        User(name="a", authorized_keys=(ED25519,), authorized_key_files=(key,)),
        User(name="b", home="/var/lib/b"),
        User(name="c", home="/nonexistent"),
    ]
    tree = Tree()
    tree.add("/home/a/bin/tool", File(content=b"", mode=0o755), origin="an overlay")
    tree.add("/home/a/link", Symlink("/etc/passwd"), origin="an overlay")
    tree.add("/etc/passwd", File(content=b""), origin="the init files")
    account.settle(tree, users)
    keys = f"{ED25519}\n{ECDSA}\n".encode()
    assert {str(path): node for path, node in tree.walk("/home/a")} == {
        "/home/a": Directory(uid=1000, gid=1000),
        "/home/a/.ssh": Directory(mode=0o700, uid=1000, gid=1000),
        "/home/a/.ssh/authorized_keys": File(content=keys, mode=0o600, uid=1000, gid=1000),
        "/home/a/bin": Directory(uid=1000, gid=1000),
        "/home/a/bin/tool": File(content=b"", mode=0o755, uid=1000, gid=1000),
        "/home/a/link": Symlink("/etc/passwd"),
    }
    assert tree.get("/var/lib/b") == Directory(mode=0o700, uid=1001, gid=1001)
    assert tree.get("/nonexistent") is None
    assert tree.get("/etc/passwd") == File(content=b"")


def test_keys_of_an_overlay_stay_and_what_lies_beside_them_is_secret(tmp_path: Path) -> None:
    file = tmp_path / "authorized_keys"
    file.write_text(ECDSA)  # without a line break
    tree = Tree()
    for home in ("/root", "/home/a"):
        tree.add(f"{home}/.ssh/authorized_keys", File(content=file), origin="an overlay")
        tree.add(f"{home}/.ssh/id_ed25519", File(content=b"secret"), origin="an overlay")
    account.settle(tree, [User(name="a", authorized_keys=(ED25519, ECDSA))])
    account.authorize(tree, (ED25519,), home="/root")
    for home, of in (("/root", 0), ("/home/a", 1000)):
        keys = f"{ECDSA}\n{ED25519}\n".encode()
        assert {path.name: node for path, node in tree.walk(f"{home}/.ssh")} == {
            ".ssh": Directory(mode=0o700, uid=of, gid=of),
            "authorized_keys": File(content=keys, mode=0o600, uid=of, gid=of),
            "id_ed25519": File(content=b"secret", mode=0o600, uid=of, gid=of),
        }


def test_keys_of_root() -> None:
    tree = Tree()
    account.authorize(tree, (), home="/root")
    assert tree.get("/root/.ssh") is None
    account.authorize(tree, (ED25519, ED25519), home="/root")
    account.authorize(tree, (ECDSA,), home="/root")
    keys = f"{ED25519}\n{ECDSA}\n".encode()
    assert tree.get("/root/.ssh") == Directory(mode=0o700)
    assert tree.get("/root/.ssh/authorized_keys") == File(content=keys, mode=0o600)
