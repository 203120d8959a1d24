"""``rootfs-tool render``: a board's init files alone."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import click

from rootfs_tool import initscripts, recipe, trees
from rootfs_tool.errors import ConfigError
from rootfs_tool.tree import File, Tree


@click.command("render")
@click.argument("what")
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write them below DIR, with their permissions; otherwise they are printed.",
)
def command(what: str, out: Path | None) -> None:
    """Write the init files of WHAT, a board's name or a recipe.toml."""
    found, _ = recipe.find(what)
    tree = Tree()
    initscripts.add(tree, trees.init_of(found))
    for path, node in tree.walk():
        if not isinstance(node, File):
            continue
        assert isinstance(node.content, bytes)  # templates render to bytes in memory
        if out is None:
            click.echo(f"==> {path} <==")
            click.echo(node.content.decode())
        else:
            click.echo(_write(out, path, node.content, node.mode))


def _write(out: Path, path: PurePosixPath, content: bytes, mode: int) -> Path:
    """Put one file below ``out``; nobody else may read it before its permissions say so."""
    file = out / path.relative_to("/")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(content)
        file.chmod(mode)
    except OSError as error:
        raise ConfigError(f"{error.filename or file}: {error.strerror}") from None
    return file
