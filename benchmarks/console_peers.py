"""The console tools of others, each in an environment of its own, and ours: asked one at a time."""

from __future__ import annotations

import base64
import json
import select
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rootfs_tool import paths

CHECKOUT = Path(__file__).parent.parent
# labgrid brings a `serial` of its own, which would take the place of pyserial's.
PEERS = {"labgrid": "labgrid==26.0.1", "pexpect": "pexpect==4.9.0"}
OURS = "ours"
GRACE = 30.0  # seconds beyond its time-out that a tool has to say so


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """``error`` is what the tool raised, or that it hung; "" where it answered."""

    seconds: float
    status: int = -1
    output: bytes = b""
    error: str = ""

    def __str__(self) -> str:
        return self.error or f"{self.status}, {len(self.output)} bytes, {self.seconds:.2f} s"


def python(name: str) -> Path:
    """The interpreter that has the tool, which is fetched the first time."""
    if name == OURS:
        return Path(sys.executable)
    home = paths.cache() / "peers" / PEERS[name]
    if not (home / "whole").exists():
        venv.create(home, with_pip=True, clear=True)
        install = (home / "bin" / "pip", "install", "--quiet", PEERS[name])
        subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
        (home / "whole").touch()
    return home / "bin" / "python"


class Tool:
    """A console tool as a process that works on one port."""

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self._process = process

    @property
    def gone(self) -> bool:
        return self._process.poll() is not None

    def attach(self, timeout: float) -> Answer:
        return self._ask({"do": "attach", "timeout": timeout}, timeout)

    def run(self, command: str, timeout: float) -> Answer:
        return self._ask({"do": "run", "command": command, "timeout": timeout}, timeout)

    def _ask(self, request: dict[str, Any], timeout: float) -> Answer:
        if self.gone:
            return Answer(seconds=0.0, error="is no more")
        assert self._process.stdin is not None
        begun = time.monotonic()
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        said = self.said(timeout + GRACE)
        if said is None:
            self._process.kill()
            self._process.wait()
            return Answer(seconds=time.monotonic() - begun, error="hangs")
        if "error" in said:
            return Answer(seconds=said["seconds"], error=said["error"].split("\n")[0])
        output = base64.b64decode(said.get("output", ""))
        return Answer(seconds=said["seconds"], status=said.get("status", 0), output=output)

    def said(self, timeout: float) -> dict[str, Any] | None:
        """Its next line; None when there is none within ``timeout`` seconds."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], timeout)[0]:
            return None
        line = self._process.stdout.readline()
        loaded: dict[str, Any] = json.loads(line) if line else {"error": "ended", "seconds": 0.0}
        return loaded


@contextmanager
def tool(name: str, port: str) -> Iterator[Tool]:
    """One that is ready to attach to ``port``."""
    argv = [str(python(name)), "-m", f"benchmarks.console_{name}", port]
    with subprocess.Popen(
        argv,
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            started = Tool(name, process)
            said = started.said(60)
            if not said or "ready" not in said:
                raise RuntimeError(f"{name} does not start: {said}")
            yield started
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let it put away what it started, which a tool that hangs will not."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
