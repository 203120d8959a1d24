"""``rootfs-tool doctor``."""

from __future__ import annotations

import sys

import click

from rootfs_tool.doctor import apt_line, examine

STYLES = {"ok": "green", "missing": "red", "optional": "yellow"}


@click.command("doctor")
def command() -> None:
    """Say what this host lacks and the exact line that mends it; exits 1 if a must is missing."""
    findings = examine()
    width = max(len(one.name) for one in findings)
    for one in findings:
        verdict = click.style(f"{one.verdict:8}", fg=STYLES[one.verdict])
        click.echo(f"{one.name:{width}}  {verdict}  {one.found}")
        if one.mend and one.verdict != "ok":
            click.echo(f"{'':{width}}  {'':8}  mend: {one.mend}")
    line = apt_line(findings)
    if line is not None:
        click.echo(f"\nall missing packages at once:\n  {line}")
    sys.exit(any(one.verdict == "missing" for one in findings))
