"""A report as a person reads it: a table of what was asked and found."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import indent

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from rootfs_tool.bringup import CheckResult, Report

STYLES = {"passed": "green", "failed": "bold red", "broken": "bold red", "skipped": "yellow"}


def show(report: Report) -> None:
    """Draw it on stdout."""
    Console(highlight=False, soft_wrap=True).print(draw(report))


def draw(report: Report) -> RenderableType:
    """The table, then what is wrong and what mends it, then the logs and the programs' output."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("check")
    table.add_column("")
    table.add_column("s", justify="right")
    table.add_column("found")
    for result in report.results:
        table.add_row(
            Text(result.name),
            Text(result.outcome, style=STYLES[result.outcome]),
            f"{result.seconds:.2f}",
            Text(result.message.partition("\n")[0]),
        )
    return Group(table, *_programs(report), *_incidents(report), *_wrong(report))


def _programs(report: Report) -> Iterator[RenderableType]:
    for result in report.results:
        if result.output and result.outcome in ("passed", "failed"):
            yield from _block(f"{result.name}: output, {result.message}", result.output)
    for name, log in report.logs.items():
        yield from _block(f"{name}: log", log)


def _incidents(report: Report) -> Iterator[RenderableType]:
    for incident in report.incidents:
        yield from _block(f"on the board: {incident.line}", "\n".join(incident.lines))


def _wrong(report: Report) -> Iterator[RenderableType]:
    told: dict[str, str] = {}  # a cause, and the check beneath which it stands
    for result in report.results:
        if result.outcome in ("failed", "broken"):
            yield from _trouble(result, told)


def _trouble(result: CheckResult, told: dict[str, str]) -> Iterator[RenderableType]:
    yield Text.assemble("\n", (f"{result.name}: ", "bold red"), result.message)
    for one in result.diagnoses:
        if told.setdefault(one.cause, result.name) != result.name:
            yield Text.assemble("  ", ("cause: ", "bold"), f"the same as of {told[one.cause]}")
            continue
        yield Text.assemble("  ", ("cause: ", "bold"), one.cause)
        shown = (line for line in one.evidence if line not in result.message)
        yield from (Text(f"    | {line}") for line in shown)
        yield Text.assemble("  ", ("mend: ", "bold green"), one.mend)
    if result.hint and not result.diagnoses:
        yield Text(f"  hint: {result.hint}")
    if result.outcome == "broken" and result.output:
        yield from _block("the last lines of the console", result.output)


def _block(title: str, body: str) -> Iterator[RenderableType]:
    yield Text(f"\n{title}", style="bold")
    yield Text(indent(body.rstrip("\n"), "  "))
