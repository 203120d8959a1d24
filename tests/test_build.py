"""The verb as a whole: from packages to out/, twice, by two users."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from rootfs_tool import manifest
from rootfs_tool.board import Board
from rootfs_tool.build import EPOCH, build
from rootfs_tool.errors import ConfigError, FetchError
from rootfs_tool.flash import source
from rootfs_tool.images import SdCard
from rootfs_tool.manifest import Build
from rootfs_tool.model import Model
from rootfs_tool.recipe import Recipe, find
from tests.conftest import CHECKOUT
from tests.place import BOARD, CODE, Place


def cpio(build: Build, *options: str) -> bytes:
    """What cpio says of the initramfs: of the archive with /usr, and then of the rest."""
    script = 'zstd -dc "$0" | { cpio --quiet "$@" && cpio --quiet "$@"; }'
    argv = ["sh", "-c", script, str(build.image("cpio")), *options]
    return subprocess.run(argv, check=True, capture_output=True).stdout


def archived(build: Build) -> dict[str, str]:
    """The lines of `cpio -tv` by name."""
    listing = cpio(build, "--list", "--verbose").decode()
    found = (
        re.search(r"(?:\d{4}|\d\d:\d\d) (\S.*?)(?: -> .*)?$", line) for line in listing.splitlines()
    )
    return {match[1]: match.string for match in found if match is not None}


def content(build: Build, name: str) -> bytes:
    return cpio(build, "--extract", "--to-stdout", name)


def test_what_is_in_out(place: Place) -> None:
    built = place.build()
    assert manifest.load(place.out) == built
    assert set(place.listing()) == {
        "Image",
        "bcm2837-rpi-3-b.dtb",
        "initramfs.cpio.zst",
        "licences/busybox-static",
        "licences/linux-image-6.12.1-arm64",
        "manifest.json",
        "recipe.json",
        "sbom.cdx.json",
    }
    assert place.listing()["Image"].startswith(b"not much of a kernel")
    for file in built.files():
        said = subprocess.run(["sha256sum", built.path(file)], capture_output=True, text=True)
        assert said.stdout.startswith(file.sha256)
        assert built.path(file).stat().st_size == file.size
    assert [(one.name, one.origin) for one in built.artefacts] == [
        ("linux-image-6.12.1-arm64", "debian trixie/arm64"),
        ("busybox-static", "debian trixie/arm64"),
    ]
    for one in built.artefacts:
        assert one.licence is not None
        assert (place.out / one.licence).is_file()
    recipe, _ = find(str(place.out))
    assert recipe == find(str(place.board))[0], "out/ can be built again from itself"


def test_what_is_in_the_initramfs(place: Place) -> None:
    names = archived(place.build())
    assert names["init"].endswith("init -> sbin/init")
    assert names["usr/bin/sh"].endswith("usr/bin/sh -> busybox")
    assert names["dev/console"].startswith("crw-------")
    assert names["etc/init.d/rcS"].startswith("-rwxr-xr-x")
    assert "usr/lib/modules/6.12.1-arm64/modules.builtin" in names


def test_locked_takes_what_is_pinned_and_nothing_else(place: Place) -> None:
    assert place.build(locked=True) == place.build()
    place.board.with_suffix(".lock").unlink()
    with pytest.raises(FetchError, match="pins no linux-image-arm64"):
        place.build(locked=True)


@pytest.mark.parametrize("compression", ["gz", "xz", "zst"])
def test_a_packed_card_is_the_card_packed(place: Place, compression: str) -> None:
    recipe, file = find(str(place.board))

    def card(**how: object) -> Path:
        wanted = recipe.model_copy(update={"image": (SdCard.model_validate(how),)})
        image = build(wanted, place.out, lock=file.with_suffix(".lock")).image("sdcard")
        assert image.with_name(f"{image.name}.map").exists()
        return image

    raw = card().read_bytes()
    packed = card(compression=compression)
    assert packed.name == f"sdcard.img.{compression}"
    program = {"gz": "gzip", "xz": "xz", "zst": "zstd"}[compression]
    assert subprocess.run([program, "-dc", packed], check=True, capture_output=True).stdout == raw
    assert source.find(packed).size == len(raw)  # which checks the map against it
    assert not (place.out / "sdcard.img").exists()


def test_source_date_epoch(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.build()
    lock = place.board.with_suffix(".lock")
    said = lock.read_text()
    assert abs(tomllib.loads(said)["epoch"] - time.time()) < 2 * 86_400

    lock.write_text(re.sub(r"epoch = .*", "epoch = 1736899200", said))
    first = place.build()
    assert first.epoch == 1_736_899_200
    assert "Jan 15  2025" in archived(first)["init"]

    lock.write_text(re.sub(r"epoch = .*", "", said))
    assert place.build().epoch == EPOCH
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    second = place.build()
    assert second.epoch == 86400
    assert "Jan  2  1970" in archived(second)["init"]
    for wrong in ("yesterday", "-1", str(1 << 32)):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", wrong)
        with pytest.raises(ConfigError, match="SOURCE_DATE_EPOCH"):
            place.build()


class TestReproducible:
    def test_at_another_time_of_day_and_another_umask(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.build()
        first = place.listing()
        shutil.rmtree(place.out)
        for path in place.root.rglob("*"):
            os.utime(path, (0, 0), follow_symlinks=False)
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        monkeypatch.setenv("PYTHONHASHSEED", "7")
        time.tzset()
        old = os.umask(0o077)
        try:
            place.build()
        finally:
            os.umask(old)
            monkeypatch.undo()
            time.tzset()
        assert place.listing() == first

    def test_from_a_cold_cache_of_rendered_files_and_modules(self, place: Place) -> None:
        place.build()
        first = place.listing()
        for kind in ("init", "modules"):
            shutil.rmtree(place.root / "cache" / "rootfs-tool" / kind)
        place.build()
        assert place.listing() == first

    @pytest.mark.root
    def test_by_another_user(self, place: Place, tmp_path: Path) -> None:
        place.build()
        first = place.listing()
        other = tmp_path / "other"
        shutil.copytree(place.root, other, symlinks=True)
        shutil.rmtree(other / "out")
        subprocess.run(["chown", "-R", "nobody", other], check=True)
        subprocess.run(["chmod", "-R", "go-rwx", other], check=True)
        opened = [tmp_path, *tmp_path.parents[:2]]
        modes = {one: one.stat().st_mode for one in opened}
        for one in opened:
            one.chmod(0o755)
        try:
            subprocess.run(
                [
                    *("setpriv", "--reuid=65534", "--clear-groups", "--regid=65534"),
                    # the checkout may be in a home that nobody else can enter
                    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
                    *(sys.executable, "-c", f"import os; os.umask(0o027)\n{CODE}"),
                    *(other / "boards" / "board.toml", other / "out"),
                ],
                check=True,
                cwd=other,
                env={
                    "PATH": "/usr/bin:/bin",
                    "HOME": str(other),
                    "XDG_CACHE_HOME": str(other / "cache"),
                    "PYTHONPATH": str(CHECKOUT),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "TZ": "America/New_York",
                },
            )
        finally:
            for one, mode in modes.items():
                one.chmod(mode)
        assert Place(other).listing() == first


class TestOverlay:
    def build(self, place: Place) -> Build:
        recipe, file = find(str(place.root / "recipe.toml"))
        return build(recipe, place.out, lock=file.with_suffix(".lock"))

    def test_it_lies_over_everything(self, place: Place) -> None:
        overlay = place.with_overlay()
        for name in ("etc", "tmp", "bin", "opt/new"):
            (overlay / name).mkdir(parents=True)
        (overlay / "etc" / "hostname").write_text("mine\n")
        (overlay / "etc" / "secret").write_text("kept from nobody\n")
        (overlay / "etc" / "secret").chmod(0o600)
        (overlay / "bin" / "tool").write_text("#!/bin/sh\n")
        (overlay / "bin" / "tool").chmod(0o4711)
        (overlay / "tmp" / "x").write_text("")
        (overlay / "opt" / "link").symlink_to("/etc/hostname")
        built = self.build(place)
        names = archived(built)
        assert content(built, "etc/hostname") == b"mine\n"
        assert names["etc/secret"].startswith("-rw-r--r--"), "the umask's bits do not count"
        assert names["usr/bin/tool"].startswith("-rwsr-xr-x"), "through the link /bin"
        assert names["tmp"].startswith("drwxrwxrwt"), "a directory that is there stays as it is"
        assert names["opt/new"].startswith("drwxr-xr-x")
        assert names["opt/link"].endswith("opt/link -> /etc/hostname")

    def test_a_fifo_is_refused(self, place: Place) -> None:
        overlay = place.with_overlay()
        os.mkfifo(overlay / "fifo")
        with pytest.raises(ConfigError, match="overlay/fifo is neither file"):
            self.build(place)
        assert not place.out.exists()


def test_a_users_own_template_is_used_at_once(place: Place) -> None:
    place.build()
    own = place.root / "templates" / "init"
    own.mkdir(parents=True)
    (own / "hostname.j2").write_text("my-own-{{ network.hostname | line }}\n")
    assert content(place.build(), "etc/hostname") == b"my-own-board\n"
    (own / "hostname.j2").write_text("another\n")
    assert content(place.build(), "etc/hostname") == b"another\n"


def test_every_value_that_the_init_files_use_counts(place: Place) -> None:
    assert content(place.build(), "etc/hostname") == b"board\n"
    place.board.write_text(BOARD.replace('hostname = "board"', 'hostname = "other"'))
    assert content(place.build(), "etc/hostname") == b"other\n"
    place.board.write_text(BOARD.replace("[network]", 'root-password = ""\n[network]', 1))
    assert content(place.build(), "etc/shadow").startswith(b"root::")


def test_the_recipe_and_board_are_models() -> None:
    assert issubclass(Board, Model)
    assert issubclass(Recipe, Model)
