"""The software bill of materials of a build: taken from the cache, or made; and read again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rootfs_tool import __version__, manifest, store
from rootfs_tool.errors import ConfigError
from rootfs_tool.manifest import Build, BuiltFile
from rootfs_tool.tree import File

NAME = "sbom.cdx.json"  # its file in out/, with the ending that CycloneDX asks for
KEPT = 32  # of them in the cache, 10 to 30 kB each
ANY_RECIPE = BuiltFile(name="recipe.json", size=0, sha256="")  # it has paths of this host
MAKERS = ("bom.py", "licence.py")  # a change in these makes another bill of the same build


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something in a build; ``version`` is empty where it has none.

    ``named`` are the licences that a text names which only a person can read.
    """

    name: str
    version: str
    licence: str
    named: tuple[str, ...] = ()


def text(build: Build, texts: Path) -> str:
    """The bill of ``build``, the same for every build of the same artefacts, wherever it is made.

    ``texts`` is the directory that holds the licence files by the names that the manifest has for
    them. A bill that is not in the cache takes 0.2 s. Raises FetchError if the cache can't be
    written.
    """
    build = replace(build, recipe=ANY_RECIPE)
    key = hashlib.sha256(f"{__version__}\0{manifest.dumps(build)}".encode())
    for name in MAKERS:
        key.update(Path(__file__).with_name(name).read_bytes())
    stored = store.find("sbom", key.hexdigest())
    if stored is not None:
        return stored.path(f"/{NAME}").read_text()
    from rootfs_tool import bom  # the library is slow to import

    made = bom.make(build, texts)
    with store.making("sbom", key.hexdigest(), keep=KEPT) as making:
        making.node(f"/{NAME}", File(content=made.encode(), mode=0o644))
    return made


def parts(directory: Path) -> list[Part]:
    """What the bill in ``directory`` lists, in its order.

    Raises ConfigError if there is none, or it can't be read.
    """
    path = directory / NAME
    try:
        return [_part(one) for one in json.loads(path.read_text())["components"]]
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}", hint="rootfs-tool build makes it; OUT is its directory"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} is damaged: {error}", hint="build again") from None


def _part(component: dict[str, Any]) -> Part:
    observed = component.get("evidence", {}).get("licenses", ())
    return Part(
        name=component["name"],
        version=component.get("version", ""),
        licence=", ".join(_said(one) for one in component["licenses"]),
        named=tuple(_said(one) for one in observed),
    )


def _said(one: dict[str, Any]) -> str:
    said = one.get("expression") or one["license"].get("id") or one["license"]["name"]
    if not isinstance(said, str):
        raise TypeError("a licence is no text")
    return said
