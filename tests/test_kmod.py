"""The closure and the indexes of kernel modules, against the real depmod and the real modprobe."""

from __future__ import annotations

import hashlib
import lzma
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from rootfs_tool import kmod, paths, store
from rootfs_tool.arch import Arch
from rootfs_tool.errors import ConfigError, FetchError
from rootfs_tool.sources.apt import Archive
from rootfs_tool.sources.kernel import Kernel
from rootfs_tool.store import Stored
from rootfs_tool.tree import File, Tree
from tests.debian import MODULES

RELEASE = "6.12.1-arm64"
INDEXES = ("modules.dep", "modules.alias", "modules.softdep", "modules.builtin", "modules.order")

Make = Callable[[dict[str, bytes]], Stored]


def module(
    directory: Path,
    *,
    exports: Iterable[str] = (),
    wants: Iterable[str] = (),
    info: Iterable[str] = (),
) -> bytes:
    """A relocatable ELF file for the board with the symbols and the .modinfo of a module."""
    lines = ["#define in(name) __attribute__((section(name), used, aligned(1)))"]
    lines += [f'static const char i{n}[] in(".modinfo") = "{text}";' for n, text in enumerate(info)]
    lines += [
        f'int {name}; static const char s_{name}[] in("__ksymtab_strings") = "{name}";'
        for name in exports
    ]
    lines += [f"extern int {name}; const void *use_{name} = &{name};" for name in wants]
    source, built = directory / "module.c", directory / "module.o"
    source.write_text("\n".join(lines) + "\n")
    subprocess.run(["aarch64-linux-gnu-gcc", "-c", "-o", built, source], check=True)
    return built.read_bytes()


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Put files into the store, as an unpacked kernel."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def stored(files: dict[str, bytes]) -> Stored:
        digest = hashlib.sha256(repr(files).encode()).hexdigest()
        with store.making("unpacked", digest) as making:
            for name, content in files.items():
                making.file(f"{MODULES}/{name}", [content], mode=0o644)
        found = store.find("unpacked", digest)
        assert found is not None
        return found

    return stored


@pytest.fixture
def kernel(make: Make, tmp_path: Path) -> Stored:
    """A network card's driver with two layers below it, a file system with a softdep, others."""
    net, fs = "kernel/drivers/net", "kernel/fs"
    core = module(tmp_path, exports=["core"], info=["name=core", "depends="])
    phy = module(tmp_path, exports=["phy"], wants=["core"], info=["depends=net-core"])
    card = module(
        tmp_path,
        wants=["core", "phy"],
        info=["depends=net-core,phy_lib", "alias=usb:v0424p9514*", "alias=card"],
    )
    crc = module(tmp_path, info=["alias=crc32c", "depends="])
    fast = module(tmp_path, info=["alias=crc32c", "depends="])
    disk = module(tmp_path, info=["depends=", "softdep=pre: crc32c sha256 nowhere post: later"])
    return make(
        {
            f"{net}/net-core.ko.xz": lzma.compress(core),
            f"{net}/phy_lib.ko.xz": lzma.compress(phy, check=lzma.CHECK_CRC32),
            f"{net}/card.ko": card,
            "kernel/crypto/crc32c_generic.ko.xz": lzma.compress(crc),
            "kernel/arch/arm64/crypto/crc32c-fast.ko.xz": lzma.compress(fast),
            f"{fs}/disk.ko.xz": lzma.compress(disk),
            f"{fs}/later.ko.xz": lzma.compress(crc),
            "modules.builtin": b"kernel/drivers/virtio/virtio-pci.ko\nkernel/crypto/sha256.ko\n",
            "modules.builtin.modinfo": b"sha256_generic.alias=sha256\0x.license=GPL\0",
            "modules.order": "".join(
                f"{name}\n"
                for name in (
                    f"{net}/phy_lib.ko",
                    f"{net}/net-core.ko",
                    "kernel/crypto/crc32c_generic.ko",
                    f"{fs}/disk.ko",
                    f"{net}/card.ko",
                )
            ).encode(),
        }
    )


def names(tree: Tree) -> set[str]:
    return {path.name for path, _ in tree.walk(MODULES) if path.suffix == ".ko"}


def laid_out(tree: Tree, root: Path) -> dict[str, str]:
    """The modules on disk as depmod wants them; returns the indexes, without comments."""
    found = dict.fromkeys(INDEXES, "")
    for path, node in tree.walk():
        if isinstance(node, File):
            assert isinstance(node.content, Path)
            at = root / path.relative_to("/usr")
            at.parent.mkdir(parents=True, exist_ok=True)
            at.write_bytes(node.content.read_bytes())
            if path.name in found:
                found[path.name] = at.read_text()
    return found


def lines(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if not line.startswith("#"))


def test_what_a_module_needs_comes_with_it_and_nothing_else(kernel: Stored) -> None:
    tree = Tree()
    kmod.add(tree, ["card", "virtio_pci"], kernel=kernel, directory=MODULES)
    assert names(tree) == {"card.ko", "net-core.ko", "phy_lib.ko"}
    node = tree.get(f"{MODULES}/kernel/drivers/net/phy_lib.ko")
    assert isinstance(node, File)
    assert isinstance(node.content, Path)
    assert node.content.read_bytes().startswith(b"\x7fELF")
    assert (node.mode, node.uid) == (0o644, 0)


def test_the_indexes_are_those_of_depmod(kernel: Stored, tmp_path: Path) -> None:
    tree = Tree()
    kmod.add(tree, ["card", "net-core"], kernel=kernel, directory=MODULES)
    ours = laid_out(tree, tmp_path / "root")
    subprocess.run(["depmod", "--basedir", tmp_path / "root", RELEASE], check=True)
    for name in INDEXES:
        theirs = (tmp_path / "root" / "lib" / "modules" / RELEASE / name).read_text()
        assert lines(ours[name]) == lines(theirs), name
    assert ours["modules.order"].splitlines()[0].endswith("phy_lib.ko")


def test_modprobe_loads_the_lowest_layer_first(kernel: Stored) -> None:
    """It reads a line of modules.dep from its end."""
    found = kmod.Kernel.of(kernel, MODULES)
    of = {line.partition(":")[0]: line for line in kmod.dep(found, kmod.closure(found, ["card"]))}
    order = reversed(of["kernel/drivers/net/card.ko"].replace(":", "").split())
    assert [Path(path).stem for path in order] == ["net-core", "phy_lib", "card"]


def test_a_softdep_is_loaded_first_in_its_generic_form(kernel: Stored) -> None:
    """BusyBox's modprobe reads no softdep, so that it must stand in modules.dep."""
    tree = Tree()
    kmod.add(tree, ["disk"], kernel=kernel, directory=MODULES)
    assert names(tree) == {"disk.ko", "crc32c_generic.ko"}, "sha256 is built in"
    node = tree.get(f"{MODULES}/modules.dep")
    assert isinstance(node, File)
    assert isinstance(node.content, Path)
    assert "kernel/fs/disk.ko: kernel/crypto/crc32c_generic.ko\n" in node.content.read_text()


def test_hyphens_and_underscores_are_the_same(kernel: Stored) -> None:
    for name in ("net-core", "net_core"):
        tree = Tree()
        kmod.add(tree, [name, "virtio_pci", "virtio-pci"], kernel=kernel, directory=MODULES)
        assert names(tree) == {"net-core.ko"}


def test_a_board_without_modules_still_knows_what_is_built_in(kernel: Stored) -> None:
    tree = Tree()
    kmod.add(tree, [], kernel=kernel, directory=MODULES)
    assert names(tree) == set()
    assert tree.get(f"{MODULES}/modules.builtin") is not None
    assert tree.get(f"{MODULES}/modules.dep") is not None


@pytest.mark.parametrize(("name", "guess"), [("crad", "card"), ("virtio_pcl", "virtio_pci")])
def test_an_unknown_module(kernel: Stored, name: str, guess: str) -> None:
    with pytest.raises(ConfigError, match=f'no module {name}; did you mean "{guess}"'):
        kmod.add(Tree(), [name], kernel=kernel, directory=MODULES)


@pytest.mark.parametrize("content", [b"", b"no xz at all", lzma.compress(b"x" * 9999)[:-20]])
def test_a_damaged_module_is_not_used(kernel: Stored, content: bytes) -> None:
    kernel.path(f"{MODULES}/kernel/fs/disk.ko.xz").write_bytes(content)
    with pytest.raises(FetchError, match=r"disk\.ko\.xz in the cache was damaged") as caught:
        kmod.add(Tree(), ["disk"], kernel=kernel, directory=MODULES)
    assert caught.value.hint == "build again"
    assert store.find("unpacked", kernel.digest) is None, "so that it is fetched again"


def test_what_was_unpacked_is_kept_and_checked(kernel: Stored) -> None:
    first, again, third = Tree(), Tree(), Tree()
    kmod.add(first, ["card"], kernel=kernel, directory=MODULES)
    kernel.path(f"{MODULES}/kernel/drivers/net/card.ko").write_bytes(b"not read any more")
    kmod.add(again, ["card"], kernel=kernel, directory=MODULES)
    assert list(first.walk()) == list(again.walk())
    (kept,) = (paths.cache() / "modules").glob(f"*/files{MODULES}/kernel/drivers/net/card.ko")
    kept.write_bytes(b"")
    with pytest.raises(FetchError):  # it would be unpacked again, were that not damaged too
        kmod.add(third, ["card"], kernel=kernel, directory=MODULES)


@pytest.mark.parametrize("length", [0, 5, 63, 500])
def test_a_file_that_is_no_module(make: Make, tmp_path: Path, length: int) -> None:
    whole = module(tmp_path, info=["depends="])
    stored = make({"kernel/half.ko": whole[:length]})
    with pytest.raises(ConfigError, match="kernel module is"):
        kmod.add(Tree(), ["half"], kernel=stored, directory=MODULES)


def test_modules_that_zstd_compressed(make: Make, tmp_path: Path) -> None:
    content = module(tmp_path, info=["depends="])
    packed = subprocess.run(["zstd", "-c"], input=content, check=True, capture_output=True).stdout
    stored = make({"kernel/one.ko.zst": packed})
    tree = Tree()
    kmod.add(tree, ["one"], kernel=stored, directory=MODULES)
    node = tree.get(f"{MODULES}/kernel/one.ko")
    assert isinstance(node, File)
    assert isinstance(node.content, Path)
    assert node.content.read_bytes() == content
    stored.path(f"{MODULES}/kernel/one.ko.zst").write_bytes(packed[:-9])
    with pytest.raises(FetchError, match="damaged"):
        kmod.closure(kmod.Kernel.of(stored, MODULES), ["one"])


@pytest.mark.network
def test_debians_kernel_against_depmod(tmp_path: Path) -> None:
    """With the modules of the boards that ship, and a file system that has softdeps."""
    with Archive(suite="trixie", arch=Arch.aarch64, lock=tmp_path / "board.lock") as archive:
        artefact = Kernel().fetch(archive)
    assert artefact.files is not None
    one = Kernel()
    wanted = ["virtio_net", "smsc95xx", "lan78xx", "genet", "dwc2", "vfat", "ext4"]
    tree = Tree()
    kmod.add(tree, wanted, kernel=artefact.files, directory=one.modules(artefact))
    ours = laid_out(tree, tmp_path / "root")
    release = one.release(artefact)
    subprocess.run(
        ["depmod", "--basedir", tmp_path / "root", release], check=True, capture_output=True
    )
    theirs = {
        name: (tmp_path / "root" / "lib" / "modules" / release / name).read_text()
        for name in INDEXES
    }
    for name in INDEXES[1:]:
        assert lines(ours[name]) == lines(theirs[name]), name
    needed = {line.split()[0]: set(line.split()[1:]) for line in lines(ours["modules.dep"])}
    hard = {line.split()[0]: set(line.split()[1:]) for line in lines(theirs["modules.dep"])}
    assert needed.keys() == hard.keys()
    assert all(hard[name] <= needed[name] for name in hard)
    soft = {"kernel/crypto/crc32c_generic.ko", "kernel/drivers/net/mdio/mdio-bcm-unimac.ko"}
    assert set().union(*(needed[name] - hard[name] for name in hard)) == soft
