"""SSH to booted boards with this host's own ssh, scp and sftp."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rootfs_tool import hostkeys, manifest, recipe, sshclient
from rootfs_tool.cli.subject import machine
from rootfs_tool.errors import ConfigError
from rootfs_tool.service import script
from rootfs_tool.ssh import SFTP_PACKAGE, Ssh
from rootfs_tool.sshclient import Server
from tests.command import Ran, rootfs_tool
from tests.ssh_client import Keys, free_port, written

# `openssl passwd -6 -salt salt secret`
HASH = (
    "$6$salt$egUxKNxDs8kPfh8iPMNcosMhb2eWah6d3R44JDm5Rj/j/XWR5E33QPd0YmHXoDHOIDR6kL5D3JcQcz0O8FHE00"
)
KEYS = "/etc/dropbear"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("", r"\[ssh\] lets nobody in"),
        ("password-login = true", r"\[ssh\] lets nobody in"),
        ('authorized-keys = ["~/.ssh/x.pub"]', r'authorized-key-files = \["~/\.ssh/x\.pub"\]'),
        ('authorized-keys = ["-----BEGIN OPENSSH PRIVATE KEY-----"]', "is a private key"),
        ('authorized-key-files = ["none.pub"]', "there is no file"),
        ('host-keys = "."\n[[image]]\ntype = "sdcard"', "would lie readable in the card's image"),
        ("port = 65536", "ssh.port: must be at most 65535"),
        ("host-key = 1", "ssh.host-key: unknown key"),
    ],
)
def test_mistakes_in_the_recipe(tmp_path: Path, lines: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        written(tmp_path, f'board = "raspberrypi4"\n[ssh]\n{lines}\n')


def test_it_is_a_service_among_the_others(tmp_path: Path, keys: Keys) -> None:
    own = '[[service]]\nname = "{}"\ncommand = "/bin/true"\nbackground = true\n'
    text = (
        f'board = "raspberrypi4"\n[ssh]\nauthorized-key-files = ["{keys.mine}.pub"]\nport = 2222\n'
    )
    found = written(tmp_path, text + own.format("other"))
    server = found.all_services[-1]
    assert script(server.order or 0, server) == "/etc/init.d/S49dropbear"
    assert server.argv == (
        *("/usr/sbin/dropbear", "-R", "-s", "-p", "2222", "-P", "/run/dropbear.pid"),
    )
    assert "-s" not in Ssh(password_login=True).service.argv
    with pytest.raises(ConfigError, match="is the service dropbear already"):
        written(tmp_path, text + own.format("dropbear"))
    with pytest.raises(
        ConfigError, match=r'\[ssh\] is a service too: service\[0\] "a" has order 49'
    ):
        written(tmp_path, text + own.format("a") + "order = 49\n")


def built(where: Path, ssh: str, lines: str = "") -> Path:
    """A build of qemu-aarch64 with this [ssh], whose port a port of this host leads to."""
    (where / "recipe.toml").write_text(
        f'board = "qemu-aarch64"\nforward = ["{free_port()}:22"]\n{lines}[ssh]\n{ssh}'
    )
    ran = rootfs_tool("build", where / "recipe.toml", "-o", where / "out", timeout=600)
    assert ran.status == 0, ran.said
    return where / "out"


@contextmanager
def booted(out: Path, card: Path | None = None) -> Iterator[None]:
    found, _ = recipe.find(str(out))
    line = found.board.console
    with machine(found).boot(manifest.load(out), line, card=card):
        yield


def ssh(out: Path, key: Path, *words: str) -> Ran:
    return rootfs_tool("ssh", "-i", key, "-o", "IdentitiesOnly=yes", out, *words)


def host_key(out: Path, key: Path) -> bytes:
    ran = ssh(out, key, "--", f"cat {KEYS}/dropbear_ed25519_host_key | md5sum")
    assert ran.status == 0, ran.said
    return ran.stdout.encode()


@pytest.fixture(scope="module")
def ram(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Path:
    where = tmp_path_factory.mktemp("ram")
    home = where / "overlay" / "root" / ".ssh"
    home.mkdir(parents=True)
    (home / "authorized_keys").write_text("# of the overlay\n")
    mine = f'authorized-key-files = ["{keys.mine}.pub"]\n'
    return built(where, mine, 'overlay = ["overlay"]\n')


@pytest.fixture(scope="module")
def up(ram: Path) -> Iterator[Path]:
    """The build whose / is in RAM, with its machine running."""
    with booted(ram):
        yield ram


def test_every_package_of_it_comes_with_its_licence(ram: Path) -> None:
    """The copyright file of the sftp server lies in a package that is not on the board."""
    packages = [one for one in manifest.load(ram).artefacts if one.origin.startswith("debian")]
    assert {one.name for one in packages if one.name.startswith("openssh")} == {SFTP_PACKAGE}
    assert [one.name for one in packages if not one.licence] == []
    assert "OpenBSD" in (ram / "licences" / SFTP_PACKAGE).read_text()
    assert rootfs_tool("lock", "--check", ram.parent / "recipe.toml").status == 0


def test_what_an_overlay_says_of_roots_keys_stays(ram: Path, keys: Keys) -> None:
    ran = rootfs_tool("image", "cat", ram, "root/.ssh/authorized_keys")
    assert ran.stdout == f"# of the overlay\n{keys.mine.with_suffix('.pub').read_text()}"


@pytest.mark.qemu
class TestInRam:
    def test_a_key_logs_in_as_soon_as_the_board_is_up(self, up: Path, keys: Keys) -> None:
        ran = ssh(up, keys.mine, "--", "id -u; echo to stderr >&2; exit 7")
        assert (ran.status, ran.stdout) == (7, "0\n"), ran.said
        assert ran.stderr.splitlines()[-1] == "to stderr"

    def test_a_command_may_end_with_what_ssh_itself_fails_with(self, up: Path, keys: Keys) -> None:
        assert ssh(up, keys.mine, "exit", "255").status == 255

    def test_another_key_does_not(self, up: Path, keys: Keys) -> None:
        ran = ssh(up, keys.other, "true")
        assert ran.status == 5
        assert "lets nobody in" in ran.stderr
        assert "(publickey)" in ran.stderr, "no password is asked for either"
        assert "-i names a key" in ran.stderr

    def test_scp_and_sftp_keep_every_byte(self, up: Path, keys: Keys, tmp_path: Path) -> None:
        config, data = tmp_path / "config", os.urandom(300_001)
        config.write_text(rootfs_tool("ssh", "--print", up).stdout)
        (tmp_path / "sent").write_bytes(data)
        options = ["-F", str(config), "-i", str(keys.mine), "-o", "BatchMode=yes"]
        subprocess.run(
            ["scp", *options, tmp_path / "sent", "qemu-aarch64:/tmp/it"], check=True, timeout=60
        )
        said = subprocess.run(
            ["sftp", *options, "-b", "-", "qemu-aarch64"],
            input=f"get /tmp/it {tmp_path / 'got'}\nrename /tmp/it /tmp/that\n",
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert said.returncode == 0, said.stderr
        assert (tmp_path / "got").read_bytes() == data
        assert ssh(up, keys.mine, "test -e /tmp/that && ! test -e /tmp/it").status == 0

    def test_the_key_of_a_board_that_changed_is_refused_and_of_a_new_one_is_kept(
        self, up: Path, keys: Keys, tmp_path: Path
    ) -> None:
        found, _ = recipe.find(str(up))
        port = machine(found).forwards()[22]
        code = (
            "import sys; from pathlib import Path; from rootfs_tool import sshclient\n"
            f"server = sshclient.Server(name='pi', host='127.0.0.1', port={port}, machine=False)\n"
            "try: sys.exit(sshclient.run(server, ['true'], what='x', identity=Path(sys.argv[1])))\n"
            "except sshclient.CommandError as error: sys.exit(f'{error}: {error.hint}')"
        )

        def login() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-c", code, keys.mine],
                env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "the state")},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

        first = login()
        assert first.returncode == 0, first.stderr
        known = tmp_path / "the state" / "rootfs-tool" / "known_hosts"
        assert known.read_text().startswith("pi ssh-ed25519 ")
        assert login().returncode == 0
        other = keys.other.with_suffix(".pub").read_text().split()
        known.write_text(f"pi {other[0]} {other[1]}\n")
        changed = login()
        assert changed.returncode == 1
        assert "pi at 127.0.0.1 has another host key than the last time" in changed.stderr
        line = changed.stderr.split("if it is yours: ")[1]
        assert subprocess.run(shlex.split(line), capture_output=True, check=False).returncode == 0
        assert login().returncode == 0, "the hint's command makes it good"


@pytest.mark.qemu
def test_host_keys_of_ones_own_reach_a_machine(ram: Path, tmp_path: Path, keys: Keys) -> None:
    shutil.copy(keys.other, tmp_path / hostkeys.OPENSSH)
    found, _ = recipe.find(str(ram))
    assert found.ssh is not None
    server = found.ssh.model_copy(update={"host_keys": tmp_path})
    port = free_port()
    changed = found.model_copy(update={"ssh": server, "forward": (f"{port}:22",)})
    with hostkeys.given(changed, manifest.load(ram)) as build:
        initramfs = build.image("cpio")
        assert initramfs.stat().st_mode & 0o777 == 0o600
        with machine(changed).boot(build, found.board.console):
            sshclient.wait(Server(name="x", host="127.0.0.1", port=port, machine=True), "x")
            said = subprocess.run(
                ["ssh-keyscan", "-t", "ed25519", "-p", str(port), "127.0.0.1"],
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
    (line,) = (line for line in said.stdout.splitlines() if "ssh-ed25519" in line)
    assert line.split()[1:3] == keys.other.with_suffix(".pub").read_text().split()[:2]
    assert not initramfs.exists()


@pytest.mark.qemu
def test_on_a_card_the_host_key_stays_and_passwords_log_in_where_they_may(
    tmp_path: Path, keys: Keys, up: Path
) -> None:
    lines = f'root = "card"\nroot-password = "{HASH}"\n[[image]]\ntype = "sdcard"\n'
    text = f'authorized-key-files = ["{keys.mine}.pub"]\npassword-login = true\nsftp = false\n'
    out = built(tmp_path, text, lines)
    with booted(out, tmp_path / "card"):
        first = host_key(out, keys.mine)
        assert password(out, "secret", tmp_path).returncode == 0
        wrong = password(out, "wrong", tmp_path)
        assert wrong.returncode == 255
        assert "Permission denied" in wrong.stderr
    with booted(out, tmp_path / "card"):
        assert host_key(out, keys.mine) == first
    assert host_key(up, keys.mine) != first, "every board makes its own"


def password(out: Path, word: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """A login with a password, which ssh asks a program for."""
    (tmp_path / "config").write_text(rootfs_tool("ssh", "--print", out).stdout)
    (tmp_path / "askpass").write_text(f"#!/bin/sh\necho {word}\n")
    (tmp_path / "askpass").chmod(0o755)
    options = ("PreferredAuthentications=password", "NumberOfPasswordPrompts=1")
    return subprocess.run(
        ["ssh", "-F", tmp_path / "config", *(f"-o{one}" for one in options), "qemu-aarch64", "id"],
        env={
            **os.environ,
            "SSH_ASKPASS": str(tmp_path / "askpass"),
            "SSH_ASKPASS_REQUIRE": "force",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
