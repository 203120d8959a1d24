"""Does a service run, and since its start?"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import takewhile
from typing import Literal

from rootfs_tool.checks import logs
from rootfs_tool.checks.base import Bench, Check, CheckFailed
from rootfs_tool.checks.reboot import Reboot
from rootfs_tool.model import Field
from rootfs_tool.service import ServiceName

_RUNS = re.compile(r": running, pid (\d+), restarts (\d+)$")


class Service(Check):
    """A service runs, and was not started again more often than you allow."""

    type: Literal["service"] = "service"

    service: ServiceName
    """Its name, which is that of its script in /etc/init.d after S and two digits."""

    restarts: int = Field(default=0, ge=0)
    """How often it may have been started again since the board came up."""

    @property
    def title(self) -> str:
        return f"service {self.service}"

    def run(self, bench: Bench) -> str:
        script = f"/etc/init.d/S[0-9][0-9]{self.service}"
        result = bench.shell.run(
            f'set -- {script}\n[ -x "$1" ] || exit 99\necho "$1"\n"$1" status 2>&1'
        )
        path, _, said = result.text.strip().partition("\n")
        if result.status == 99:
            raise CheckFailed(
                f"the board has no service {self.service}",
                hint=f"it has {_others(bench)}; {script} would be its script",
            )
        if result.status != 0:
            raise CheckFailed(
                "\n".join(filter(None, (said, logs.of_service(bench.shell, self.service)))),
                hint=f"on the board: {path} start",
            )
        running = _RUNS.search(said)
        if running is None:
            raise CheckFailed(f"its script does not say how it is: {said!r}")
        if int(running[2]) > self.restarts:
            often = "once" if running[2] == "1" else f"{running[2]} times"
            raise CheckFailed(
                f"it ended and was started again {often}\n"
                f"{logs.of_service(bench.shell, self.service)}".rstrip(),
                hint=f"restarts = {running[2]} in the check allows that",
            )
        return said.partition(": ")[2]


def of_services(names: Iterable[str], checks: Iterable[Check]) -> tuple[Service, ...]:
    """What is asked of every service by itself, unless one of ``checks`` does on the same boot."""
    before = takewhile(lambda check: not isinstance(check, Reboot), checks)
    asked = {check.service for check in before if isinstance(check, Service)}
    return tuple(Service(service=name) for name in names if name not in asked)


def _others(bench: Bench) -> str:
    listed = bench.shell.run("ls /etc/init.d 2>/dev/null").text
    names = re.findall(r"^S\d\d(\S+)$", listed, re.MULTILINE)
    return ", ".join(names) or "none"
