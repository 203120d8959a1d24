"""TFTP clients that people have, each as its own manual page says."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from tests.tftpd.served import Served

Get = Callable[[Served, str, Path], None]
Put = Callable[[Served, Path, str], None]


def said(*argv: str | Path) -> str:
    """Run a client to its end; a failure is the test's, with what the client said."""
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def _url(server: Served, name: str) -> str:
    host = f"[{server.address}]" if ":" in server.address else server.address
    return f"tftp://{host}:{server.port}/{quote(name)}"


def curl(blksize: int = 512) -> Get:
    def get(server: Served, name: str, to: Path) -> None:
        options = ("--silent", "--show-error", "--tftp-blksize", str(blksize))
        said("curl", *options, "--output", to, _url(server, name))

    return get


def curl_put(server: Served, file: Path, name: str) -> None:
    said("curl", "--silent", "--show-error", "--upload-file", file, _url(server, name))


def tftp_hpa(mode: str = "binary") -> Get:
    """tftp-hpa's knows no options."""

    def get(server: Served, name: str, to: Path) -> None:
        host = (server.address, str(server.port))
        # It ends with 0 whatever happens: the bytes have to tell.
        assert "rror" not in said("tftp", "-m", mode, *host, "-c", "get", name, to)

    return get


def tftp_hpa_put(server: Served, file: Path, name: str) -> None:
    host = (server.address, str(server.port))
    assert "rror" not in said("tftp", "-m", "binary", *host, "-c", "put", file, name)


def atftp(*options: str) -> Get:
    """``options`` such as "windowsize 16"."""
    words = [word for option in options for word in ("--option", option)]

    def get(server: Served, name: str, to: Path) -> None:
        files = ("--get", "--remote-file", name, "--local-file", to)
        said("atftp", *words, *files, server.address, str(server.port))

    return get


def atftp_put(server: Served, file: Path, name: str) -> None:
    files = ("--put", "--remote-file", name, "--local-file", file)
    options = ("--option", "blksize 1428", "--option", "windowsize 8")
    said("atftp", *options, *files, server.address, str(server.port))


def busybox(blksize: int = 512) -> Get:
    def get(server: Served, name: str, to: Path) -> None:
        files = ("-g", "-b", str(blksize), "-r", name, "-l", to)
        said("busybox", "tftp", *files, server.address, str(server.port))

    return get


def busybox_put(server: Served, file: Path, name: str) -> None:
    files = ("-p", "-b", "1428", "-r", name, "-l", file)
    said("busybox", "tftp", *files, server.address, str(server.port))


def tftpy(blksize: int = 512) -> Get:
    def get(server: Served, name: str, to: Path) -> None:
        import tftpy

        client = tftpy.TftpClient(server.address, server.port, options={"blksize": blksize})
        client.download(name, str(to), timeout=5)

    return get
