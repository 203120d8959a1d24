"""Makes the software bill of materials: CycloneDX 1.6, with no clock and nothing random in it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.component_evidence import ComponentEvidence
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import (
    DisjunctiveLicense,
    License,
    LicenseAcknowledgement,
    LicenseExpression,
)
from cyclonedx.model.lifecycle import LifecyclePhase, PredefinedLifecycle
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from rootfs_tool import __version__, licence, manifest
from rootfs_tool.manifest import Build, BuiltFile, Origin

NONE = "NOASSERTION"  # SPDX's word for what nobody has said
PARTS = "those of its parts"  # of an image: dependencies say which

# What an artefact's origin says: of a package, of one of this host's, of a program.
_DEBIAN = re.compile(r"debian (?P<suite>[a-z0-9-]+)/(?P<arch>[a-z0-9]+)")
_HOST = "this host's package"
_COMPILED = re.compile(r"compiled .*, with (?P<libc>\S+ \S+)", re.DOTALL)


def make(build: Build, texts: Path) -> str:
    """The bill of ``build`` as JSON; ``texts`` is where the licence files of its manifest lie."""
    packages = {one: _package(one, texts) for one in build.artefacts}
    files = list(_files(build, packages))
    whole = Component(name=build.board, type=ComponentType.OPERATING_SYSTEM, bom_ref="build")
    tool = Component(name="rootfs-tool", version=__version__, type=ComponentType.APPLICATION)
    bom = Bom(
        serial_number=uuid5(NAMESPACE_URL, manifest.dumps(build)),
        metadata=BomMetaData(
            component=whole,
            timestamp=datetime.fromtimestamp(build.epoch, UTC),
            tools=ToolRepository(components=[tool]),
            lifecycles=[PredefinedLifecycle(LifecyclePhase.BUILD)],
        ),
        components=(*(one for one, _ in files), *packages.values()),
        dependencies=(
            _depends(whole, [one for one, _ in files]),
            *(_depends(one, below) for one, below in files),
            *(_depends(one, _linked(origin, packages)) for origin, one in packages.items()),
        ),
    )
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _package(origin: Origin, texts: Path) -> Component:
    compiled = _COMPILED.fullmatch(origin.origin)
    text = None if origin.licence is None else texts / origin.licence
    found = None if text is None else _licence(text, origin.name)
    return Component(
        name=origin.name,
        type=_type(origin),
        bom_ref=f"{origin.name}#{origin.sha256}",
        version=None if compiled else origin.version or None,  # the compiler's
        supplier=OrganizationalEntity(name="Debian") if _purl(origin) else None,
        purl=_purl(origin),
        hashes=[_hash(origin.sha256)],
        licenses=[_stated(found.expression if found else NONE)],
        evidence=_evidence(found),
        external_references=() if text is None else [_reference(origin.licence or "", text)],
        properties=[
            Property(name="rootfs-tool:origin", value=origin.origin),
            *([Property(name="rootfs-tool:compiler", value=origin.version)] if compiled else ()),
        ],
    )


def _purl(origin: Origin) -> PackageURL | None:
    """The name that scanners know a package of Debian's by; None of anything else."""
    debian = _DEBIAN.fullmatch(origin.origin)
    if debian is None and origin.origin != _HOST:
        return None
    qualifiers = {"arch": debian["arch"], "distro": debian["suite"]} if debian else {}
    return PackageURL("deb", "debian", origin.name, origin.version, qualifiers)


def _linked(origin: Origin, packages: Mapping[Origin, Component]) -> Iterator[Component]:
    """What else is in a program that was compiled: its C library."""
    compiled = _COMPILED.fullmatch(origin.origin)
    if compiled is not None:
        for one, component in packages.items():
            if f"{one.name} {one.version}" == compiled["libc"]:
                yield component


def _type(origin: Origin) -> ComponentType:
    """What it is, as far as the customs of Debian's names tell."""
    if _purl(origin) is None:
        compiled = _COMPILED.fullmatch(origin.origin)
        return ComponentType.APPLICATION if compiled else ComponentType.FILE
    match origin.name.split("-", 1)[0]:
        case "linux":
            return ComponentType.OPERATING_SYSTEM
        case "raspi" | "u":  # raspi-firmware, u-boot-rpi
            return ComponentType.FIRMWARE
        case first if first.startswith(("lib", "musl")):
            return ComponentType.LIBRARY
        case _:
            return ComponentType.APPLICATION


def _licence(text: Path, package: str) -> licence.Licence:
    return licence.of(text.read_text(errors="replace"), package)


def _stated(said: str) -> License:
    declared = LicenseAcknowledgement.DECLARED
    if said in (NONE, PARTS):
        return DisjunctiveLicense(name=said)
    return LicenseExpression(said, acknowledgement=declared)


def _evidence(found: licence.Licence | None) -> ComponentEvidence | None:
    if found is None or not found.named:
        return None
    return ComponentEvidence(licenses=[DisjunctiveLicense(name=name) for name in found.named])


def _reference(name: str, text: Path) -> ExternalReference:
    """To the text of a licence, relative to the bill."""
    digest = hashlib.sha256(text.read_bytes()).hexdigest()
    return ExternalReference(
        type=ExternalReferenceType.LICENSE, url=XsUri(name), hashes=[_hash(digest)]
    )


def _files(
    build: Build, packages: Mapping[Origin, Component]
) -> Iterator[tuple[Component, list[Component]]]:
    """Each file that a board starts from with what that is made from."""
    kernel = packages[build.artefacts[0]]  # which a build has first
    images = {image.file for image in build.images}
    maps = {image.map for image in build.images}
    for file in build.files():
        if file in images:
            yield _file(file, [_stated(PARTS)]), list(packages.values())
        elif file in maps:
            yield _file(file, [_stated(NONE)]), []
        elif file != build.recipe:
            yield _file(file, kernel.licenses), [kernel]


def _file(file: BuiltFile, licences: Iterable[License]) -> Component:
    return Component(
        name=file.name,
        type=ComponentType.FILE,
        bom_ref=file.name,
        hashes=[_hash(file.sha256)],
        licenses=licences,
    )


def _hash(sha256: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=sha256)


def _depends(component: Component, on: Iterable[Component]) -> Dependency:
    below = [Dependency(ref=one.bom_ref) for one in on]
    return Dependency(ref=component.bom_ref, dependencies=below)
