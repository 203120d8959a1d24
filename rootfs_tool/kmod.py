"""Kernel modules: those that a board names and all that they need, as modprobe finds them.

What is unpacked from a kernel's package is kept in the store under the digest of what was asked
for, because reading it out of thousands of compressed files takes seconds.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from rootfs_tool import proc, store
from rootfs_tool.errors import CommandError, ConfigError
from rootfs_tool.loading import did_you_mean
from rootfs_tool.store import Stored
from rootfs_tool.tree import File, Tree

FORMAT = 1  # a change of what is written here makes the store's entries anew

_MODULE = re.compile(r"(?P<name>[^/]+)\.ko(\.xz|\.zst)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One module.

    ``path`` is relative to the modules' directory and ends in .ko. ``depends`` are names that it
    can't be without and ``soft`` those it would like to have before it; ``softdeps`` and
    ``aliases`` are as it has them in .modinfo.
    """

    name: str
    path: str
    content: bytes
    depends: tuple[str, ...]
    soft: tuple[str, ...]
    softdeps: tuple[str, ...]
    aliases: tuple[str, ...]


def add(tree: Tree, names: Sequence[str], *, kernel: Stored, directory: str) -> None:
    """Put modules and their indexes into ``tree``.

    ``kernel`` is an unpacked kernel package and ``directory`` where it has its modules, such as
    /usr/lib/modules/6.12. Raises ConfigError if it has no module of one of the ``names``.
    """
    key = json.dumps([FORMAT, kernel.digest, directory, sorted(map(canonical, names))])
    digest = hashlib.sha256(key.encode()).hexdigest()
    made = store.kept("modules", digest, lambda: _files(kernel, directory, names))
    for path, node in made:
        tree.add(path, node, origin="the kernel's modules")


def canonical(name: str) -> str:
    """The name that the kernel gives it: a hyphen in a file's name is an underscore."""
    return name.replace("-", "_")


@dataclass(frozen=True, slots=True)
class Kernel:
    """What an unpacked kernel has: modules by name, with their files; and what is built in.

    ``provided`` are the aliases of what is built in.
    """

    stored: Stored
    directory: str
    files: dict[str, str]
    builtin: frozenset[str]
    provided: frozenset[str]
    _read: dict[str, Module] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: Stored, directory: str) -> Kernel:
        files = {
            canonical(match["name"]): path
            for path in stored.rows
            if path.startswith(f"{directory}/")
            and (match := _MODULE.fullmatch(path.rpartition("/")[2]))
        }
        bare = cls(stored, directory, files, frozenset(), frozenset())
        lines = bare.text("modules.builtin").splitlines()
        names = {canonical(Path(line).name.removesuffix(".ko")) for line in lines}
        aliases = re.findall(r"[^.\0]+\.alias=([^\0]+)", bare.text("modules.builtin.modinfo"))
        return cls(stored, directory, files, frozenset(names), frozenset(aliases))

    def text(self, name: str) -> str:
        """One of the package's own indexes; empty if it has none."""
        path = f"{self.directory}/{name}"
        return self.stored.checked(path).read_text() if path in self.stored.rows else ""

    def module(self, name: str) -> Module:
        """The module of that canonical name, unpacked. Raises FetchError if its file is damaged."""
        if name not in self._read:
            path = self.files[name]
            relative = path.removeprefix(f"{self.directory}/")
            content = _unpacked(self.stored, path)
            info = list(modinfo(content))

            def of(key: str) -> tuple[str, ...]:
                return tuple(value for one, value in info if one == key)

            self._read[name] = Module(
                name=name,
                path=relative[: relative.rindex(".ko")] + ".ko",
                content=content,
                depends=tuple(map(canonical, filter(None, ",".join(of("depends")).split(",")))),
                soft=tuple(one for line in of("softdep") for one in _before(line)),
                softdeps=of("softdep"),
                aliases=of("alias"),
            )
        return self._read[name]

    def called(self, alias: str) -> list[str]:
        """The modules that ``alias`` stands for.

        It is looked for among the algorithms alone: those are what a driver names by an alias in a
        softdep, and reading every module would take seconds. Of several implementations it is the
        generic one, for the others want a CPU that has what they use.
        """
        found = sorted(
            name
            for name, path in self.files.items()
            if "/crypto/" in path and alias in self.module(name).aliases
        )
        return [name for name in found if name.endswith("generic")] or found


def closure(kernel: Kernel, names: Iterable[str]) -> dict[str, Module]:
    """The modules of those names and all they need, by canonical name; built-in ones need nothing.

    Raises ConfigError if the kernel has none of a name.
    """
    for name in names:
        if canonical(name) not in kernel.files and canonical(name) not in kernel.builtin:
            known = (*kernel.files, *kernel.builtin)
            raise ConfigError(
                f"the kernel has no module {name}{did_you_mean(canonical(name), known)}"
            )
    found: dict[str, Module] = {}
    todo = [canonical(name) for name in names]
    while todo:
        name = todo.pop()
        if name in found or name not in kernel.files:
            continue
        found[name] = module = kernel.module(name)
        todo += (*module.depends, *_soft(kernel, module))
    return dict(sorted(found.items()))


def _soft(kernel: Kernel, module: Module) -> list[str]:
    """The modules that a module would like to have before it."""
    found: list[str] = []
    for soft in module.soft:
        name = canonical(soft)
        if name in kernel.files:
            found.append(name)
        elif name not in kernel.builtin and soft not in kernel.provided:
            found += kernel.called(soft)
    return found


def _files(
    stored: Stored, directory: str, names: Sequence[str]
) -> Iterator[tuple[PurePosixPath, File]]:
    """Every file that goes into the modules' directory."""
    kernel = Kernel.of(stored, directory)
    modules = closure(kernel, names)
    paths = {module.path for module in modules.values()}
    for module in modules.values():
        yield PurePosixPath(directory, module.path), File(content=module.content)
    order = [line.removesuffix(".xz") for line in kernel.text("modules.order").splitlines()]
    texts = {
        "modules.dep": "".join(f"{line}\n" for line in dep(kernel, modules)),
        "modules.alias": "".join(
            f"alias {alias} {module.name}\n"
            for module in modules.values()
            for alias in module.aliases
        ),
        "modules.softdep": "".join(
            f"softdep {module.name} {line}\n"
            for module in modules.values()
            for line in module.softdeps
        ),
        "modules.builtin": kernel.text("modules.builtin"),
        "modules.order": "".join(f"{line}\n" for line in order if line in paths),
    }
    for name, text in texts.items():
        if text or name == "modules.dep":
            yield PurePosixPath(directory, name), File(content=text.encode())


def dep(kernel: Kernel, modules: dict[str, Module]) -> Iterator[str]:
    """The lines of modules.dep: a module, then what to load before it, the first one last.

    What a module would like to have stands behind what it can't do without, because BusyBox reads
    no softdep.
    """
    for module in modules.values():
        needed: dict[str, None] = {}
        _order(kernel, modules, module, needed, ())
        paths = [modules[name].path for name in reversed(needed)]
        yield f"{module.path}:{''.join(f' {path}' for path in paths)}"


def _order(
    kernel: Kernel,
    modules: dict[str, Module],
    module: Module,
    done: dict[str, None],
    above: tuple[str, ...],
) -> None:
    """Put into ``done`` what ``module`` needs, in the order in which it can be loaded."""
    for name in (*_soft(kernel, module), *module.depends):
        if name in modules and name not in done and name not in (*above, module.name):
            _order(kernel, modules, modules[name], done, (*above, module.name))
            done[name] = None


def _before(softdep: str) -> Iterator[str]:
    """The names behind ``pre:`` of a softdep."""
    behind = ""
    for word in softdep.split():
        if word.endswith(":"):
            behind = word
        elif behind == "pre:":
            yield word


def _unpacked(stored: Stored, path: str) -> bytes:
    """The bytes of a module. Raises FetchError if its file is damaged."""
    import lzma
    import tempfile

    try:
        if path.endswith(".xz"):
            return lzma.decompress(stored.checked(path).read_bytes())
        if path.endswith(".zst"):
            with tempfile.TemporaryDirectory() as directory:
                module = Path(directory, "module.ko")
                proc.run("zstd", "--decompress", "-q", "-o", module, stored.checked(path))
                return module.read_bytes()
        return stored.checked(path).read_bytes()
    except (lzma.LZMAError, CommandError):
        raise stored.damaged(path) from None


def modinfo(module: bytes) -> Iterator[tuple[str, str]]:
    """The ``key=value`` pairs in section .modinfo of a 64-bit little-endian ELF file (elf(5)).

    Raises ConfigError if it is none.
    """
    try:
        if module[:6] != b"\x7fELF\x02\x01":
            raise ConfigError("a kernel module is no 64-bit little-endian ELF file")
        (table,) = struct.unpack_from("<Q", module, 0x28)
        size, count, names = struct.unpack_from("<HHH", module, 0x3A)
        sections = [struct.unpack_from("<IIQQQQ", module, table + i * size) for i in range(count)]
        strings = sections[names][4]
        for name, _, _, _, offset, length in sections:
            if module.startswith(b".modinfo\0", strings + name):
                for entry in module[offset : offset + length].split(b"\0"):
                    key, equals, value = entry.decode(errors="replace").partition("=")
                    if equals:
                        yield key, value
    except (struct.error, IndexError):
        raise ConfigError("a kernel module is cut short") from None
