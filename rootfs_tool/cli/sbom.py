"""``rootfs-tool sbom``."""

from __future__ import annotations

from pathlib import Path

import click

from rootfs_tool import sbom
from rootfs_tool.printable import printable
from rootfs_tool.report.listing import columns


@click.command("sbom")
@click.argument("out", type=click.Path(path_type=Path), default="out")
@click.option("--json", "as_json", is_flag=True, help="Print the bill itself, CycloneDX 1.6.")
def command(out: Path, as_json: bool) -> None:
    """List what is in OUT, a directory that build has made: names, versions and licences.

    Licences are SPDX expressions. A LicenseRef stands for a text in OUT/licences that SPDX has no
    name for; behind it are the common licences that the text names.
    """
    parts = sbom.parts(out)
    if as_json:
        click.echo((out / sbom.NAME).read_text(), nl=False)
        return
    rows = [("name", "version", "licence")]
    for part in parts:
        named = f" (names {', '.join(part.named)})" if part.named else ""
        rows.append((printable(part.name), part.version or "-", part.licence + named))
    for line in columns(rows):
        click.echo(line)
