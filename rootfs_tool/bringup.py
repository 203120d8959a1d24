"""rootfs-tool bringup: boot a build on a target and ask it every check. One straight line."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rootfs_tool import tftp
from rootfs_tool.checks import Check, Program, Reboot, Spawn
from rootfs_tool.checks.base import Bench, CheckFailed, CheckSkipped
from rootfs_tool.console.base import Console, Line
from rootfs_tool.console.transcript import recorded
from rootfs_tool.errors import ConfigError, ConsoleError, ConsoleTimeout
from rootfs_tool.events import Event, listening, step
from rootfs_tool.network import Network
from rootfs_tool.shell import Shell
from rootfs_tool.shell.incident import Incident
from rootfs_tool.shell.login import Allowed
from rootfs_tool.targets.base import HostAddress

if TYPE_CHECKING:
    from rootfs_tool.diagnosis.base import Diagnosis

Outcome = Literal["passed", "failed", "broken", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """``message`` is what was found or what is wrong, ``hint`` the next step.

    ``diagnoses`` are the causes of a failure, as far as they are known.
    """

    name: str
    outcome: Outcome
    seconds: float
    message: str
    hint: str | None = None
    output: str = ""
    diagnoses: tuple[Diagnosis, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """``started`` is in seconds since the epoch; ``logs`` are of the programs left running."""

    board: str
    started: float
    seconds: float
    results: tuple[CheckResult, ...]
    logs: Mapping[str, str]
    timeline: tuple[Event, ...]
    incidents: tuple[Incident, ...] = ()
    """What went wrong on the board, and it went on, or not."""

    kernel: tuple[str, ...] = ()
    """What the kernel said between the login and the end."""

    @property
    def exit_code(self) -> int:
        """0 all passed, 1 a check failed, 7 the console was in trouble."""
        outcomes = {result.outcome for result in self.results}
        if "broken" in outcomes:
            return ConsoleError.exit_code
        return 1 if "failed" in outcomes else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bringup:
    """What is brought up, and with what.

    ``boot`` starts the board and hands over its console, ``host`` is where the board finds this
    host, ``reach`` where this host finds a TCP port of the board's; ``boot_timeout`` is in seconds,
    ``tftp_port`` 0 is any free one.
    """

    board: str
    boot: Callable[[], AbstractContextManager[Console]]
    host: HostAddress
    reach: Callable[[int], tuple[str, int] | None]
    network: Network
    line: Line
    checks: Sequence[Check]
    boot_timeout: float = 120.0
    tftp_port: int = 0
    ask_password: Callable[[str], str] | None = None


def bringup(wanted: Bringup, *, transcript: Path, keep: Callable[[Report], None]) -> Report:
    """Boot, log in, ask every check; ``keep`` gets the report however this ends.

    The console's every byte goes to the file ``transcript`` as it comes. Raises what comes before
    the board does (ConfigError, MissingToolError, CommandError); trouble with the console and
    failed checks are results.
    """
    started, clock = time.time(), time.monotonic()
    found = _Found()
    timeline: list[Event] = []

    def report() -> Report:
        return Report(
            board=wanted.board,
            started=started,
            seconds=time.monotonic() - clock,
            results=tuple(found.results),
            logs=dict(found.logs),
            incidents=_unwanted(found.incidents, wanted.checks),
            kernel=found.kernel,
            timeline=tuple(event for event in timeline if event.kind != "output"),
        )

    try:
        with listening(timeline.append):
            _ask_all(wanted, transcript, found)
    finally:
        keep(report())
    return report()


@dataclass(slots=True)
class _Found:
    """What is known so far."""

    results: list[CheckResult] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    incidents: tuple[Incident, ...] = ()
    kernel: tuple[str, ...] = ()

    def hear(self, shell: Shell) -> None:
        """Take in what the board's kernel has said. It may be gone by now."""
        self.kernel = shell.kernel_log
        try:
            if not shell.lost:
                self.kernel = shell.kernel_messages()
        except ConsoleError:
            pass
        finally:
            self.incidents = shell.incidents


def _ask_all(wanted: Bringup, transcript: Path, found: _Found) -> None:
    results = found.results
    start = time.monotonic()
    with ExitStack() as stack:
        server = stack.enter_context(
            tftp.serve(served(wanted.checks), wanted.host.bind, wanted.tftp_port)
        )
        try:
            with step("boot and log in"):
                console = stack.enter_context(wanted.boot())
                shell = _attach(stack, console, wanted, transcript)
        except ConsoleError as error:
            results.append(_broken("boot and log in", start, error))
            results.extend(_skipped(wanted.checks))
            return
        results.append(_passed("boot and log in", start, f"shell on {wanted.line.device}"))
        bench = Bench(
            shell=shell,
            network=wanted.network,
            server=server,
            host=wanted.host.seen,
            reach=wanted.reach,
        )
        try:
            _checks(wanted.checks, bench, results, found.logs)
        finally:
            found.hear(shell)


def _attach(stack: ExitStack, console: Console, wanted: Bringup, transcript: Path) -> Shell:
    written = stack.enter_context(recorded(console, transcript))
    shell = Shell.attach(
        written,
        wanted.line,
        timeout=wanted.boot_timeout,
        allowed=Allowed(ask_password=wanted.ask_password, boot=True),
    )
    stack.callback(shell.leave)
    return shell


def _checks(
    checks: Sequence[Check], bench: Bench, results: list[CheckResult], logs: dict[str, str]
) -> None:
    for number, check in enumerate(checks):
        result, lost = _ask(check, bench)
        results.append(result)
        if lost:
            results.extend(_skipped(checks[number + 1 :]))
            return
    started = {result.name for result in results if result.outcome == "passed"}
    for check in checks:
        if isinstance(check, Spawn) and check.title in started:
            try:
                logs[check.title] = check.log(bench)
                status = check.ended(bench)
            except ConsoleError as error:
                results.append(_broken(f"log of {check.title}", time.monotonic(), error))
                return
            _judge(check, status, bench, logs[check.title], results)


def _judge(
    check: Spawn, status: int | None, bench: Bench, log: str, results: list[CheckResult]
) -> None:
    """A program that was left running and ended badly since has failed after all."""
    at = next(i for i, result in enumerate(results) if result.name == check.title)
    if status is None:
        return
    results[at] = replace(
        results[at],
        outcome="failed" if status else "passed",
        message=f"{results[at].message}, then ended with status {status}",
        diagnoses=_why(check, bench, log) if status else (),
    )


def _ask(check: Check, bench: Bench) -> tuple[CheckResult, bool]:
    """The answer, and whether the console was lost over it."""
    start = time.monotonic()
    heard: list[str] = []

    def hear(event: Event) -> None:
        if event.kind == "output":
            heard.append(event.text)

    try:
        with listening(hear), step(check.title):
            result = _passed(check.title, start, check.run(bench))
    except CheckSkipped as why:
        result = _result(check.title, "skipped", start, str(why))
    except CheckFailed as no:
        result = _result(check.title, "failed", start, str(no), no.hint)
    except ConsoleError as error:
        return _broken(check.title, start, error), type(error) is not ConsoleTimeout
    said = "".join(heard)
    if result.outcome == "failed":
        result = replace(result, diagnoses=_why(check, bench, f"{result.message}\n{said}"))
    return replace(result, output=said), False


def _why(check: Check, bench: Bench, said: str) -> tuple[Diagnosis, ...]:
    """The causes of a failure, asked for right after it."""
    with step(f"{check.title}: why?"):
        from rootfs_tool.diagnosis import asking  # what a bring-up that passes can do without

        return asking.why(
            bench.shell,
            said,
            check.subject(bench),
            network=bench.network,
            seen_host=bench.host,
            reach=bench.reach,
        )


def _unwanted(incidents: Sequence[Incident], checks: Sequence[Check]) -> tuple[Incident, ...]:
    """Without the restarts, where a check asks for one: in another check they are its error."""
    asked = any(isinstance(check, Reboot) for check in checks)
    return tuple(one for one in incidents if not (asked and one.kind == "reboot"))


def served(checks: Sequence[Check]) -> dict[str, Path]:
    """The files that the checks will fetch, by the name each has on the wire.

    Raises ConfigError when two different files would have the same name on the board.
    """
    files: dict[str, Path] = {}
    for check in checks:
        if isinstance(check, (Program, Spawn)):
            other = files.setdefault(check.file.name, check.file)
            if other != check.file:
                raise ConfigError(
                    f"{other} and {check.file} would both be /tmp/{check.file.name} on the board",
                    hint="rename one of them",
                )
    return files


def _result(
    name: str, outcome: Outcome, start: float, message: str, hint: str | None = None
) -> CheckResult:
    seconds = time.monotonic() - start
    return CheckResult(name=name, outcome=outcome, seconds=seconds, message=message, hint=hint)


def _passed(name: str, start: float, message: str) -> CheckResult:
    return _result(name, "passed", start, message)


def _broken(name: str, start: float, error: ConsoleError) -> CheckResult:
    return replace(_result(name, "broken", start, str(error), error.hint), output=error.tail)


def _skipped(checks: Sequence[Check]) -> list[CheckResult]:
    now = time.monotonic()
    return [_result(check.title, "skipped", now, "the console was lost") for check in checks]
