"""The option that says where a build goes, the same for every verb that makes one."""

from __future__ import annotations

from pathlib import Path

import click

out_option = click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="out",
    show_default=True,
    help="Where the build goes, and the reports of its runs.",
)
