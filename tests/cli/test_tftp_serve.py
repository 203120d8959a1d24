"""``tftp-serve``, as a person starts it: real clients, real signals, a real terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import pytest

from rootfs_tool.cli.transfers import as_line
from rootfs_tool.tftpd.base import Event, Kind
from tests.command import PROGRAM, rootfs_tool

CONTENT = bytes(range(256)) * 4000


@dataclass(slots=True, kw_only=True)
class Serving:
    """The program, what it has said so far, and what it says at its end."""

    process: subprocess.Popen[str]
    port: int
    said: str
    stdout: str = ""

    def get(self, name: str, to: Path) -> int:
        url = f"tftp://127.0.0.1:{self.port}/{name}"
        argv = ["curl", "--silent", "--max-time", "20", "--output", str(to), url]
        return subprocess.run(argv, check=False).returncode

    def put(self, file: Path, name: str) -> str:
        argv = ["tftp", "-m", "binary", "127.0.0.1", str(self.port), "-c", "put", str(file), name]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
        return done.stdout

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        self.stdout, rest = self.process.communicate(timeout=20)
        self.said += rest
        return self.process.returncode


@contextmanager
def serving(*options: str | Path, stdout: int = subprocess.PIPE) -> Iterator[Serving]:
    argv = [PROGRAM, "tftp-serve", "--address", "127.0.0.1", "--port", "0", *options]
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True
    ) as process:
        said = ""
        assert process.stderr is not None
        try:
            while not (found := re.search(r"BusyBox: .* (\d+)\n", said)):
                line = process.stderr.readline()
                assert line, said
                said += line
            yield Serving(process=process, port=int(found[1]), said=said)
        finally:
            process.kill()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory for everybody, for the server becomes nobody if it was root."""
    for one in (tmp_path, root := tmp_path / "root"):
        one.mkdir(exist_ok=True)
        one.chmod(0o755)
    (root / "Image").write_bytes(CONTENT)
    return root


@pytest.fixture
def writable() -> Iterator[Path]:
    """A directory that everybody can reach, other than root's ``tmp_path``."""
    with TemporaryDirectory() as made:
        Path(made).chmod(0o777)
        yield Path(made)


def test_files_are_served_and_told_in_a_line_each(root: Path, tmp_path: Path) -> None:
    with serving(root) as server:
        assert server.get("Image", tmp_path / "got") == 0
        assert server.get("nothing", tmp_path / "none") != 0
        assert server.end(signal.SIGINT) == 130
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert f"serving {root} on 127.0.0.1:{server.port}; Ctrl-C ends it\n" in server.said
    assert f"  BusyBox: tftp -g -r Image 127.0.0.1 {server.port}\n" in server.said
    *_, read, refused = server.said.splitlines()
    assert re.fullmatch(
        r"127\.0\.0\.1:\d+ read Image, 1\.0 MB in \d+\.\d\d s, \S+ [kMG]B/s, "
        r"blksize 512 windowsize 1(, \d+ resent)?",
        read,
    )
    assert re.fullmatch(r"127\.0\.0\.1:\d+ read nothing refused: file not found", refused)
    assert server.stdout == ""


def test_json_has_an_object_per_event_and_nothing_else(root: Path, tmp_path: Path) -> None:
    with serving(root, "--json") as server:
        server.get("Image", tmp_path / "got")
        server.get("nothing", tmp_path / "none")
        assert server.end(signal.SIGTERM) == 0
    events: list[dict[str, Any]] = [json.loads(line) for line in server.stdout.splitlines()]
    assert [one["kind"] for one in events] == ["begun", "ended", "refused"]
    assert events[1]["name"] == "Image"
    assert events[1]["sent"] == events[1]["size"] == len(CONTENT)
    assert events[2]["reason"] == "file not found"


def test_figures_are_there_from_the_start_and_right_at_the_end(
    root: Path, tmp_path: Path, writable: Path
) -> None:
    file = writable / "tftp.prom"
    with serving(root, "--metrics", file) as server:
        assert 'outcome="ended"} 0\n' in file.read_text()
        server.get("Image", tmp_path / "got")
        server.end()
    text = file.read_text()
    assert 'rootfs_tool_tftp_requests_total{outcome="ended"} 1\n' in text
    assert f'rootfs_tool_tftp_bytes_total{{direction="sent"}} {len(CONTENT)}\n' in text
    assert list(writable.iterdir()) == [file]


def test_figures_that_can_t_be_written_are_said_at_once(root: Path) -> None:
    ran = rootfs_tool("tftp-serve", root, "--port", "0", "--metrics", "/proc/nothing/tftp.prom")
    assert ran.status == 2
    assert "error: --metrics /proc/nothing/tftp.prom: No such file" in ran.stderr


def test_names_are_mapped_and_a_pi_is_told(root: Path, tmp_path: Path) -> None:
    with serving(root, "--map", "^/?tftpboot/=", "--map", "^kernel8?.img$=Image") as server:
        assert server.get("tftpboot/kernel8.img", tmp_path / "a") == 0
        assert server.get("1a2b3c4d/Image", tmp_path / "b") == 0
        server.end()
    assert "1a2b3c4d/Image (Raspberry Pi 1a2b3c4d), 1.0 MB" in server.said


def test_nothing_is_taken_unless_said(root: Path, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    with serving(root) as server:
        assert "takes no files" in server.put(tmp_path / "new", "new")
        server.end()
    assert [path.name for path in root.iterdir()] == ["Image"]
    assert "write new refused: this server takes no files" in server.said


def test_uploads_arrive_but_not_over_what_is_there(
    root: Path, tmp_path: Path, writable: Path
) -> None:
    (tmp_path / "new").write_bytes(CONTENT)
    with serving(root, "--allow-write", writable, "--max-upload", "1") as server:
        assert "Error" not in server.put(tmp_path / "new", "new")
        assert "exists already" in server.put(tmp_path / "new", "new")
        (tmp_path / "large").write_bytes(CONTENT * 2)
        assert "more than the 1048576 bytes" in server.put(tmp_path / "large", "large")
        server.end()
    assert (writable / "new").read_bytes() == CONTENT
    assert [path.name for path in writable.iterdir()] == ["new"]
    assert "write new, 1.0 MB in" in server.said


def test_uploads_may_go_over_what_is_there(root: Path, tmp_path: Path, writable: Path) -> None:
    (tmp_path / "new").write_bytes(CONTENT)
    (writable / "new").write_bytes(b"old")
    with serving(root, "--allow-write", writable, "--overwrite") as server:
        server.put(tmp_path / "new", "new")
        server.end()
    assert (writable / "new").read_bytes() == CONTENT


@pytest.mark.parametrize("options", [(), ("--single-port",)])
def test_only_a_single_port_answers_from_where_it_was_asked(
    root: Path, options: tuple[str, ...]
) -> None:
    with serving(root, *options) as server:
        answer, port = ask(server, b"Image")
        server.end()
    assert answer == b"\0\3\0\1" + CONTENT[:512]
    assert (port == server.port) == bool(options)


def ask(server: Serving, name: bytes) -> tuple[bytes, int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.sendto(b"\0\1" + name + b"\0octet\0", ("127.0.0.1", server.port))
        answer, (_, port) = client.recvfrom(1000)
        client.sendto(b"\0\5\0\0enough\0", ("127.0.0.1", port))
    return answer, port


def test_a_name_can_t_steer_the_terminal(root: Path) -> None:
    with serving(root) as server:
        assert ask(server, b"\x1b[2J\xff")[0].startswith(b"\0\5\0\1")
        server.end()
    assert r"read \x1b[2J\xff refused" in server.said
    assert "\x1b" not in server.said


def test_a_terminal_shows_what_is_going_on(root: Path, tmp_path: Path) -> None:
    (root / "Image").write_bytes(CONTENT * 4)
    ours, theirs = pty.openpty()
    argv = [str(PROGRAM), "tftp-serve", "--address", "127.0.0.1", "--port", "0", str(root)]
    with closing(os.fdopen(ours, "rb", buffering=0)) as screen:
        process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        try:
            shown = until(screen, rb"no transfer")
            port = int(re.findall(rb"BusyBox: .* (\d+)\r\n", shown)[0])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as board:
                board.settimeout(10)
                board.sendto(b"\0\1Image\0octet\0", ("127.0.0.1", port))
                _, server = board.recvfrom(1000)
                shown = until(screen, rb"127\.0\.0\.1:\d+ +reads +Image")
                board.sendto(b"\0\5\0\0enough\0", server)
                shown += until(screen, rb"read Image failed after [^\r]*enough")
            assert b"blksize" in shown
            until(screen, rb"no transfer")
            process.send_signal(signal.SIGINT)
            until(screen, rb"\x1b\[\?25h")
            assert process.wait(10) == 130
        finally:
            process.kill()
            process.wait()


def until(screen: IO[bytes], pattern: bytes) -> bytes:
    """What a terminal shows up to a pattern, awaited for ten seconds at most."""
    shown = b""
    while not re.search(pattern, shown):
        assert select.select([screen], [], [], 10)[0], shown
        shown += screen.read(4096)
    return shown


def test_systemd_s_socket_is_served_and_the_options_for_one_are_not_needed(
    root: Path, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as passed:
        passed.bind(("127.0.0.1", 0))
        fd = passed.fileno()
        script = f'exec 3<&{fd}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
        process = subprocess.Popen(
            ["bash", "-c", script, "-", PROGRAM, "tftp-serve", root],
            pass_fds=[fd],
            stderr=subprocess.PIPE,
            text=True,
        )
        port = passed.getsockname()[1]
        server = Serving(process=process, port=port, said="")
        assert server.get("Image", tmp_path / "got") == 0  # it waits in the socket meanwhile
        assert server.end() == 0
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert f"on 127.0.0.1:{port};" in server.said


@pytest.mark.root
def test_root_s_rights_are_given_up_before_the_first_request(root: Path, tmp_path: Path) -> None:
    (root / "secret").write_bytes(b"for root")
    (root / "secret").chmod(0o600)
    with serving(root) as server:
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        assert server.get("Image", tmp_path / "got") == 0
        assert server.get("secret", tmp_path / "none") != 0
        server.end()
    assert re.search(r"^Uid:\s+65534\s+65534\s+65534\s+65534$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    assert "root's rights are given up: this is nobody now" in server.said
    assert "this user may not read secret" in server.said
    assert "secret refused: the server may not read it" in server.said


def test_a_reader_that_takes_nothing_stops_no_board(root: Path, tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    with closing(os.fdopen(ours)), serving(root, "--json", stdout=theirs) as server:
        os.close(theirs)
        for n in range(1000):  # more than a pipe holds
            assert ask(server, b"nothing-%d" % n)[0].startswith(b"\0\5\0\1")
        assert server.get("Image", tmp_path / "got") == 0
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
    assert (tmp_path / "got").read_bytes() == CONTENT


def test_a_reader_that_has_gone_ends_it(root: Path) -> None:
    ours, theirs = os.pipe()
    with serving(root, "--json", stdout=theirs) as server:
        os.close(theirs)
        os.close(ours)
        ask(server, b"nothing")
        assert server.process.wait(10) == 141


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["none"], "no directory to serve: none: No such file"),
        ([".", "--map", "(a+)+=b"], "can take for ever"),
        ([".", "--overwrite"], "--overwrite goes with --allow-write"),
        ([".", "--address", "192.0.2.1", "--port", "0"], "no TFTP server on 192.0.2.1"),
        ([".", "--port", "0", "--allow-write", "none"], "mkdir -p none makes it"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_served(options: list[str], says: str) -> None:
    ran = rootfs_tool("tftp-serve", *options)
    assert ran.status == 2
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_port_that_is_taken_is_said_with_who_has_it(root: Path) -> None:
    with serving(root) as server:
        port = str(server.port)
        pid = server.process.pid
        # "python" where the path of the checkout is none that a #! line can hold
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        ran = rootfs_tool("tftp-serve", root, "--address", "127.0.0.1", "--port", port)
        server.end()
    assert ran.status == 2
    assert f"port {port} of 127.0.0.1 is taken by {name} (pid {pid})" in ran.stderr


def test_the_units_have_what_was_asked_for(root: Path, writable: Path) -> None:
    odd = root / 'a "100%" $dir'
    odd.mkdir()
    options = ("--map", "^a$=b", "--allow-write", writable)
    service = rootfs_tool("tftp-serve", odd, *options, "--print-unit", "service").stdout
    assert f'tftp-serve" "{root}/a \\"100%%\\" $$dir" "--map" "^a$$=b" "--allow-write"' in service
    assert f'ReadWritePaths="{writable}"' in service
    assert "@" not in service.replace("@system-service", "")
    listening = rootfs_tool("tftp-serve", root, "--print-unit", "socket").stdout
    assert "ListenDatagram=0.0.0.0:69\n" in listening


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="a host without systemd")
def test_systemd_takes_the_units(root: Path, tmp_path: Path) -> None:
    units = []
    for kind in ("socket", "service"):
        units.append(tmp_path / f"rootfs-tool-tftp.{kind}")
        units[-1].write_text(rootfs_tool("tftp-serve", root, "--print-unit", kind).stdout)
    argv = ["systemd-analyze", "verify", *map(str, units)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "rootfs-tool-tftp" not in done.stderr


def test_a_failure_is_told_with_what_to_do() -> None:
    event = Event(
        kind=Kind.FAILED,
        peer="10.0.0.2:1069",
        name="Image",
        size=36_000_000,
        sent=1468,
        seconds=25,
        retransmissions=9,
        blksize=1468,
        note="Raspberry Pi 1a2b3c4d",
        reason="no ACK ever came",
        hint="a firewall",
    )
    assert as_line(event) == (
        "10.0.0.2:1069 read Image (Raspberry Pi 1a2b3c4d) failed after 1.5 kB in 25.00 s, "
        "blksize 1468 windowsize 1, 9 resent: no ACK ever came; a firewall"
    )
