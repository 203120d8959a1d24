"""Which packages a list of names brings: apt decides, on a board where nothing is installed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from rootfs_tool.errors import CommandError, FetchError
from rootfs_tool.loading import did_you_mean
from rootfs_tool.sources.aptstate import AptState

# What apt takes for installed: only maintainer scripts call it, and they do not run here. With
# each stands what it provides. Whoever asks for one by name gets it.
ASSUMED: dict[str, str] = {
    "adduser": "",
    "base-files": "",
    "base-passwd": "",
    "debconf": "debconf-2.0",
    "debianutils": "",
    "dpkg": "",
    "init-system-helpers": "",
    "install-info": "",
    "lsb-base": "",
    "passwd": "",
    "runit-helper": "",
    "systemd-standalone-sysusers": "systemd-sysusers",
    "systemd-standalone-tmpfiles": "systemd-tmpfiles",
    "sysvinit-utils": "",
    "ucf": "",
}
# dpkg-query's own file: a version that no Depends finds too old.
_INSTALLED = """\
Package: {name}
Status: install ok installed
Architecture: {arch}
Multi-Arch: foreign
Maintainer: nobody <nobody@invalid>
Version: 9999:0
{provides}Description: is not on the board
"""
# apt_preferences(5): above 1000 the version is taken even where it is not the newest.
_PREFERENCE = "Package: {name}\nPin: version {version}\nPin-Priority: 1001\n"

_TAKEN = re.compile(r"^Inst (\S+) \((\S+)", re.MULTILINE)
_UNKNOWN = re.compile(r"^E: Unable to locate package (\S+)", re.MULTILINE)
_PROVIDED = re.compile(
    r"^Package (\S+) is a virtual package provided by:\n((?: +.*\n)+)", re.MULTILINE
)
_NONE = re.compile(r"^E: Package '([^']+)' has no installation candidate", re.MULTILINE)
_UNMET = re.compile(r"^ (\S+ :.*(?:\n {5,}.*)*)", re.MULTILINE)


def resolve(
    state: AptState, names: Sequence[str], pinned: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The packages ``names`` and all that they need, and what of ASSUMED they would need as well.

    ``pinned`` has the versions to keep where the archive still has them, by name. Raises
    FetchError if a name is unknown, stands for several packages, or they can't be had together.
    """
    assumed = {name: more for name, more in ASSUMED.items() if name not in names}
    status = state.keep("status", "\n".join(_stanza(state.arch, *one) for one in assumed.items()))
    kept = (_PREFERENCE.format(name=name, version=one) for name, one in pinned.items())
    preferences = state.keep("preferences", "\n".join(kept))
    try:
        said = state.run(
            *("apt-get", "--simulate", "--assume-yes", "--no-install-recommends"),
            f"-oDir::State::status={status}",
            f"-oDir::Etc::preferences={preferences}",
            "-oAPT::Get::Show-User-Simulation-Note=false",
            *("install", "--", *names),
        )
    except CommandError as error:
        raise _explain(state, error.output, pinned) from None
    taken = tuple(sorted({match[1] for match in _TAKEN.finditer(said)}))
    return taken, _missed(state, taken, assumed)


def _stanza(arch: str, name: str, provides: str) -> str:
    more = f"Provides: {provides}\n" if provides else ""
    return _INSTALLED.format(name=name, arch=arch, provides=more)


def _missed(state: AptState, taken: Sequence[str], assumed: Collection[str]) -> tuple[str, ...]:
    """Those of ``assumed`` that one of the packages depends on."""
    needed = {
        word.split(" ")[0].split(":")[0]
        for one in state.shown(taken)
        for word in re.split(r"[,|]\s*", one.depends)
    }
    return tuple(name for name in assumed if name in needed)


def _explain(state: AptState, said: str, pinned: Mapping[str, str]) -> FetchError:
    unknown = dict.fromkeys(_UNKNOWN.findall(said))
    if unknown:
        wrong = ", ".join(name + did_you_mean(name, state.names(name[:2])) for name in unknown)
        return FetchError(
            f"Debian's {state.title} has no package {wrong}",
            hint="packages are of main; for another component write "
            '[[source]] type = "deb" with component = "non-free-firmware"',
        )
    for name, providers in _PROVIDED.findall(said):
        several = ", ".join(sorted(line.split()[0] for line in providers.splitlines()))
        return FetchError(f"{name} stands for one of several packages", hint=f"name one: {several}")
    for name in _NONE.findall(said):
        return FetchError(f"Debian's {state.title} has no package {name}, though others name it")
    unmet = [re.sub(r"\s+", " ", one.replace(" :", ":")) for one in _UNMET.findall(said)]
    if unmet:
        return FetchError(
            "\n".join([f"Debian's {state.title} has no set of packages that fits", *unmet]),
            hint="--update-lock drops the pinned versions" if pinned else None,
        )
    errors = [line for line in said.splitlines() if line.startswith("E: ")]
    return FetchError("\n".join(["apt-get install failed", *errors[:4]]))
