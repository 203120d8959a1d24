"""labgrid's shell driver behind the benchmark's requests, as its manual sets it up."""

from __future__ import annotations

import atexit
import json
import shutil
import sys
from pathlib import Path

from labgrid import Environment, Target
from labgrid.driver import QEMUDriver, SerialDriver, ShellDriver
from labgrid.resource import RawSerialPort

from benchmarks.console_driver import serve


def environment(out: Path) -> str:
    """Where its drivers look for QEMU and the kernel. JSON is YAML."""
    words = {
        "targets": {"board": {}},
        "images": {"kernel": str(out / "Image")},
        "tools": {"qemu": shutil.which("qemu-system-aarch64")},
    }
    file = out.with_name("labgrid.yaml")
    file.write_text(json.dumps(words))
    return str(file)


def machine(target: Target, out: Path) -> QEMUDriver:
    build = json.loads((out / "manifest.json").read_text())
    (initramfs,) = [image["file"]["name"] for image in build["images"] if image["format"] == "cpio"]
    network = "-netdev user,id=net0 -device virtio-net-pci,netdev=net0,romfile="
    return QEMUDriver(
        target,
        name=None,
        qemu_bin="qemu",
        machine="virt",
        cpu="cortex-a53",
        memory="512",
        kernel="kernel",
        boot_args=build["cmdline"],
        extra_args=f"-smp 2 -initrd {out / initramfs} {network}",
    )


class Labgrid:
    def __init__(self, port: str) -> None:
        """``port`` may be a build's directory too: then the machine is its own driver's."""
        if Path(port).is_dir():
            self._target = Target("board", env=Environment(environment(Path(port))))
            qemu = machine(self._target, Path(port))
            self._target.activate(qemu)
            atexit.register(qemu.off)
            qemu.on()
        else:
            self._target = Target("board")
            RawSerialPort(self._target, name=None, port=port, speed=115200)
            SerialDriver(self._target, name=None)
        self._shell = ShellDriver(
            self._target,
            name=None,
            prompt=r"~ # ",
            login_prompt=" login: ",
            username="root",
        )

    def attach(self, timeout: float) -> None:
        self._shell.login_timeout = int(timeout)
        self._target.activate(self._shell)

    def run(self, command: str, timeout: float) -> tuple[int, bytes]:
        lines, _, status = self._shell.run(command, timeout=timeout)
        return status, "".join(f"{line}\n" for line in lines).encode()


if __name__ == "__main__":
    serve(Labgrid(sys.argv[1]))
