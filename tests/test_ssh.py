"""SSH to booted boards with this host's own ssh, scp and sftp."""

from __future__ import annotations

import base64
import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from rootfs_tool import hostkeys, manifest, recipe, sshclient
from rootfs_tool.cli.subject import machine
from rootfs_tool.errors import ConfigError, ConsoleTimeout
from rootfs_tool.service import script
from rootfs_tool.ssh import SFTP_PACKAGE, Ssh
from rootfs_tool.sshclient import Server
from tests.command import Ran, rootfs_tool

# `openssl passwd -6 -salt salt secret`
HASH = (
    "$6$salt$egUxKNxDs8kPfh8iPMNcosMhb2eWah6d3R44JDm5Rj/j/XWR5E33QPd0YmHXoDHOIDR6kL5D3JcQcz0O8FHE00"
)
KEYS = "/etc/dropbear"


@dataclass(frozen=True, slots=True)
class Keys:
    """Key pairs in files: ``mine`` is the board's to know, ``other`` is not."""

    mine: Path
    other: Path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    directory = tmp_path_factory.mktemp("keys")
    for name in ("mine", "other"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name], check=True
        )
    return Keys(directory / "mine", directory / "other")


def written(where: Path, text: str) -> recipe.Recipe:
    (where / "recipe.toml").write_text(text)
    return recipe.find(str(where / "recipe.toml"))[0]


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


class TestWhereItIs:
    """What `ssh` says before it has spoken to anything."""

    SSH = '[ssh]\nauthorized-keys = ["{}"]\n'

    def test_at_the_boards_own_address(self, tmp_path: Path, keys: Keys) -> None:
        public = keys.mine.with_suffix(".pub").read_text().strip()
        found = written(tmp_path, f'board = "raspberrypi4"\n{self.SSH.format(public)}port = 2222\n')
        address = str(found.board.network.interface[0].ipv4[0].ip)
        server = sshclient.find(found)
        assert server == Server(name="raspberrypi4", host=address, port=2222, machine=False)
        assert sshclient.find(found, "192.0.2.7").host == "192.0.2.7"
        options = server.options("me")
        assert options["StrictHostKeyChecking"] == "accept-new"
        assert options["HostKeyAlias"] == "raspberrypi4"

    def test_in_a_machine_that_nothing_leads_into(self, tmp_path: Path, keys: Keys) -> None:
        public = keys.mine.with_suffix(".pub").read_text().strip()
        found = written(tmp_path, f'board = "qemu-aarch64"\n{self.SSH.format(public)}')
        with pytest.raises(ConfigError, match="no port of this host leads to port 22") as caught:
            sshclient.find(found)
        assert 'forward = ["10022:22"]' in str(caught.value.hint)

    def test_on_a_board_without_it(self) -> None:
        ran = rootfs_tool("ssh", "raspberrypi4")
        assert ran.status == 2
        assert "raspberrypi4 has no SSH server" in ran.stderr
        assert "add [ssh]" in ran.stderr

    def test_in_a_machine_that_is_off(self, tmp_path: Path, keys: Keys) -> None:
        public = keys.mine.with_suffix(".pub").read_text().strip()
        path = tmp_path / "recipe.toml"
        written(
            tmp_path,
            f'board = "qemu-aarch64"\nforward = ["{free_port()}:22"]\n{self.SSH.format(public)}',
        )
        ran = rootfs_tool("ssh", path, "true")
        assert ran.status == 7
        assert "nothing listens at 127.0.0.1 port" in ran.stderr
        assert f"rootfs-tool run {path}" in ran.stderr

    @pytest.mark.parametrize("address", ["", "a b", "-oProxyCommand=x", "a\n  ProxyCommand x"])
    def test_an_address_that_is_none(self, tmp_path: Path, keys: Keys, address: str) -> None:
        public = keys.mine.with_suffix(".pub").read_text().strip()
        found = written(tmp_path, f'board = "raspberrypi4"\n{self.SSH.format(public)}')
        with pytest.raises(ConfigError, match="is neither an address nor a name") as caught:
            sshclient.find(found, address)
        assert "--address 192.0.2.7" in str(caught.value.hint)

    @pytest.mark.parametrize(("name", "patience"), [("board..lan", 30), ("::::", 0)])
    def test_a_name_that_nobody_has(self, name: str, patience: float) -> None:
        """Names that need no name server to be told so; what is no name is not waited for."""
        server = Server(name="x", host=name, port=22, machine=False)
        start = time.monotonic()
        with pytest.raises(ConfigError, match=f"^{name}: ") as caught:
            sshclient.wait(server, "x", patience=patience)
        assert "--address 192.0.2.7" in str(caught.value.hint)
        assert time.monotonic() - start < 20

    @pytest.mark.root
    def test_a_name_that_comes_with_the_board_is_waited_for(self, tmp_path: Path) -> None:
        """As by mDNS: here /etc/hosts in a mount namespace of its own, where it gets the name."""
        hosts, switch = tmp_path / "hosts", tmp_path / "nsswitch"
        hosts.touch()
        switch.write_text("hosts: files\n")
        script = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/nsswitch.conf || exit'
        done = subprocess.run(
            [
                *("unshare", "--mount", "sh", "-c", f'{script}; exec "$3" -c "$4"', "sh"),
                *(hosts, switch, sys.executable, WAITS_FOR_A_NAME),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("rootfs-tool-board.local: ")

    @pytest.mark.parametrize("says", [b"", b"220 smtp\r\n"])
    def test_where_something_else_listens(self, says: bytes) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port: int = listening.getsockname()[1]
            answering = threading.Thread(target=_answer, args=(listening, says), daemon=True)
            answering.start()
            server = Server(name="x", host="127.0.0.1", port=port, machine=True)
            with pytest.raises(ConsoleTimeout, match=r"within 0\.3 s: (something else|the conn)"):
                sshclient.wait(server, "x", patience=0.3)


WAITS_FOR_A_NAME = """
import socket, threading
from rootfs_tool import events, sshclient

HOST = "rootfs-tool-board.local"

def appear(event):
    if event.kind == "note":
        print(event.text)
        with open("/etc/hosts", "w") as hosts:
            hosts.write(f"127.0.0.1 {HOST}\\n")

def answer():
    connection, _ = listening.accept()
    connection.sendall(b"SSH-2.0-x\\r\\n")

listening = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=answer, daemon=True).start()
port = listening.getsockname()[1]
with events.listening(appear):
    sshclient.wait(sshclient.Server(name="x", host=HOST, port=port, machine=False), "x")
"""


def _answer(listening: socket.socket, says: bytes) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(says)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


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


def test_a_directory_without_host_keys(tmp_path: Path, keys: Keys) -> None:
    tmp_path = tmp_path / "my keys"
    tmp_path.mkdir()
    with pytest.raises(ConfigError, match="holds no host key") as caught:
        hostkeys.keys(tmp_path)
    assert caught.value.hint is not None
    subprocess.run(shlex.split(caught.value.hint), check=True, capture_output=True)
    (key,) = hostkeys.keys(tmp_path).values()
    path = tmp_path / hostkeys.OPENSSH
    public = path.with_suffix(".pub").read_text().split()[1]
    assert key[-32:] == base64.b64decode(public)[-32:]
    whole = path.read_text()
    for text, reason in (
        ("", "no private key"),
        (whole[:100] + whole[180:], "damaged|no Ed25519"),
        (path.with_suffix(".pub").read_text(), "no private key"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=reason):
            hostkeys.keys(tmp_path)
    path.write_text(whole)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", path], check=True)
    with pytest.raises(ConfigError, match="has a passphrase"):
        hostkeys.keys(tmp_path)
    path.unlink()
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", path], check=True)
    with pytest.raises(ConfigError, match="is no Ed25519 key"):
        hostkeys.keys(tmp_path)


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
