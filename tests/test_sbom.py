"""The bill of materials of real builds: valid, the same every time, and true."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from rootfs_tool import sbom
from rootfs_tool.build import build
from rootfs_tool.errors import ConfigError
from rootfs_tool.manifest import Build
from rootfs_tool.recipe import find
from tests.command import rootfs_tool
from tests.debian import KERNEL, HandMade, busybox, kernel, package
from tests.place import BOARD, Place

WARM = """\
import sys
from pathlib import Path
from rootfs_tool.build import build
from rootfs_tool.recipe import find
recipe, file = find(sys.argv[1])
build(recipe, Path(sys.argv[2]), lock=file.with_suffix(".lock"))
assert not {"cyclonedx", "license_expression"} & set(sys.modules), "a warm build has no use for it"
"""
COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
License: GPL-2+ or Expat
"""


def bill(out: Path) -> dict[str, Any]:
    """The bill as it lies there, found valid by the library."""
    text = (out / sbom.NAME).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def component(bill: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (one for one in bill["components"] if one["name"] == name)
    assert isinstance(found, dict)
    return found


def below(bill: dict[str, Any], name: str) -> set[str]:
    """The names of what a component depends on."""
    names = {one["bom-ref"]: one["name"] for one in bill["components"]}
    (found,) = (one for one in bill["dependencies"] if names.get(one["ref"]) == name)
    return {names[ref] for ref in found.get("dependsOn", ())}


def recipe(place: Place, text: str) -> Build:
    """A build of the place's board with more in it."""
    file = place.root / "recipe.toml"
    file.write_text(f'board = "board"\n{text}')
    shutil.copy(place.board.with_suffix(".lock"), file.with_suffix(".lock"))
    found, _ = find(str(file))
    return build(found, place.out, lock=file.with_suffix(".lock"))


def test_it_says_what_is_in_the_build(place: Place) -> None:
    built = place.build()
    said = bill(place.out)
    assert said["metadata"]["component"]["name"] == "board"
    assert said["metadata"]["timestamp"] == datetime.fromtimestamp(built.epoch, UTC).isoformat()
    hashes = {one["name"]: one["hashes"][0]["content"] for one in said["components"]}
    artefacts = {one.name: one.sha256 for one in built.artefacts}
    files = {one.name: one.sha256 for one in built.files() if not one.name.endswith(".json")}
    assert hashes == {**artefacts, **files}

    tool = component(said, "busybox-static")
    assert tool["purl"] == "pkg:deb/debian/busybox-static@1:1.37.0-6?arch=arm64&distro=trixie"
    assert (tool["version"], tool["supplier"]) == ("1:1.37.0-6", {"name": "Debian"})
    assert component(said, KERNEL)["type"] == "operating-system"
    assert below(said, "Image") == below(said, "bcm2837-rpi-3-b.dtb") == {KERNEL}
    assert below(said, "initramfs.cpio.zst") == {KERNEL, "busybox-static"}


def test_every_component_has_a_licence_and_its_text(place: Place) -> None:
    place.build()
    said = bill(place.out)
    assert all(one["licenses"] for one in said["components"])
    for name in ("busybox-static", KERNEL):
        (text,) = component(said, name)["externalReferences"]
        digest = hashlib.sha256((place.out / text["url"]).read_bytes()).hexdigest()
        assert (text["type"], text["hashes"][0]["content"]) == ("license", digest)
    parts = {part.name: part.licence for part in sbom.parts(place.out)}
    assert parts["busybox-static"] == "LicenseRef-busybox-static"
    assert parts["Image"] == parts[KERNEL] == f"LicenseRef-{KERNEL}"


def test_a_file_of_maps_is_nobodys(place: Place) -> None:
    recipe(place, '[[image]]\ntype = "sdcard"\n')
    parts = {part.name: part.licence for part in sbom.parts(place.out)}
    assert parts["sdcard.img"] == parts["initramfs.cpio.zst"] == "those of its parts"
    assert parts["sdcard.img.map"] == "NOASSERTION"


def test_the_same_bytes_from_an_empty_cache(place: Place) -> None:
    place.build()
    first = (place.out / sbom.NAME).read_bytes()
    kept = place.root / "cache" / "rootfs-tool" / "sbom"
    shutil.rmtree(kept)
    shutil.rmtree(place.out)
    place.build()
    assert (place.out / sbom.NAME).read_bytes() == first
    (entry,) = (path for path in kept.iterdir() if path.name != ".lock")
    assert (entry / "files" / sbom.NAME).read_bytes() == first


def test_the_same_bytes_from_another_directory(place: Place) -> None:
    bills = []
    for where in ("here", "there/and/back"):
        (place.root / where / "etc").mkdir(parents=True)
        (place.root / where / "etc" / "motd").write_text("hello")
        recipe(place, f'[[source]]\ntype = "file"\npath = "{where}/etc/motd"\nto = "/etc/motd"\n')
        bills.append((place.out / sbom.NAME).read_bytes())
    assert bills[0] == bills[1]


def test_a_warm_build_does_not_load_the_library(place: Place) -> None:
    place.build()
    subprocess.run([sys.executable, "-c", WARM, place.board, place.out], check=True)


def test_files_of_the_user(place: Place) -> None:
    for name, text in {"a/motd": "one", "b/motd": "two", "overlay/etc/issue": "three"}.items():
        (place.root / name).parent.mkdir(parents=True)
        (place.root / name).write_text(text)
    (place.root / "overlay" / "link").symlink_to("etc/issue")
    sources = (f'[[source]]\ntype = "file"\npath = "{n}/motd"\nto = "/{n}"\n' for n in "ab")
    recipe(place, 'overlay = ["overlay"]\n' + "".join(sources))
    said = bill(place.out)
    digests = {hashlib.sha256(text).hexdigest() for text in (b"one", b"two")}
    motds = [one for one in said["components"] if one["name"] == "motd"]
    assert {one["hashes"][0]["content"] for one in motds} == digests, "two files of one name"
    issue = component(said, "overlay/etc/issue")
    assert issue["hashes"][0]["content"] == hashlib.sha256(b"three").hexdigest()
    for one in (*motds, issue):
        assert one["licenses"] == [{"license": {"name": "NOASSERTION"}}]
        assert (one["type"], one.get("version"), one.get("purl")) == ("file", None, None)
    assert not any("link" in one["name"] for one in said["components"])


def test_a_program_and_the_library_that_is_linked_into_it(place: Place) -> None:
    (place.root / "hello.c").write_text("int main(void) { return 0; }\n")
    recipe(place, '[[source]]\ntype = "cc"\nfiles = ["hello.c"]\nto = "/usr/bin/hello"\n')
    said = bill(place.out)
    program = component(said, "/usr/bin/hello")
    assert (program["type"], program.get("version")) == ("application", None)
    assert program["licenses"] == [{"license": {"name": "NOASSERTION"}}]
    (libc,) = below(said, "/usr/bin/hello")
    assert component(said, libc)["purl"].startswith(f"pkg:deb/debian/{libc}@")
    assert component(said, libc)["externalReferences"][0]["url"] == f"licences/{libc}"


@pytest.fixture
def documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A board with two packages of one source: the library's copyright is the base's."""
    archive, place = HandMade(tmp_path / "archive"), Place(tmp_path / "place")
    archive.publish()
    doc = "/usr/share/doc"
    archive.publish(
        busybox(archive.root),
        *kernel(archive.root),
        package(archive.root, "base", "1", {f"{doc}/base/copyright": COPYRIGHT.encode()}),
        package(archive.root, "library", "1", {f"{doc}/library": "base", "/usr/lib/x": b"x"}),
    )
    place.board.parent.mkdir(parents=True)
    sources = (f'[[source]]\ntype = "deb"\npackage = "{n}"\n' for n in ("library", "base"))
    place.board.write_text(BOARD + "".join(sources))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("ROOTFS_TOOL_APT_SOURCES", str(archive.sources))
    return place


def test_a_package_whose_licence_lies_in_another(documented: Place) -> None:
    documented.build()
    said = bill(documented.out)
    for name in ("base", "library"):
        one = component(said, name)
        assert one["licenses"][0]["expression"] == "GPL-2.0-or-later OR MIT"
        assert one["externalReferences"][0]["url"] == "licences/base"
    assert (documented.out / "licences" / "base").read_text() == COPYRIGHT
    assert not (documented.out / "licences" / "library").exists()


def test_the_verb(place: Place) -> None:
    place.build()
    said = rootfs_tool("sbom", place.out)
    assert said.status == 0
    rows = {line.split()[0]: line.split()[1:] for line in said.stdout.splitlines()}
    assert rows["name"] == ["version", "licence"]
    assert rows["busybox-static"] == ["1:1.37.0-6", "LicenseRef-busybox-static"]
    assert rows["Image"][0] == "-"
    assert rootfs_tool("sbom", place.out, "--json").stdout == (place.out / sbom.NAME).read_text()


def test_where_there_is_none(place: Place) -> None:
    with pytest.raises(ConfigError, match=r"sbom\.cdx\.json: No such file"):
        sbom.parts(place.root)
    for damaged in ("", "[]", '{"components": [{}]}', '{"components": [{"name": "x"}]}'):
        (place.root / sbom.NAME).write_text(damaged)
        with pytest.raises(ConfigError, match="is damaged"):
            sbom.parts(place.root)
    assert rootfs_tool("sbom", place.root / "nowhere").status == 2
