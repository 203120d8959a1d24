"""What a package's maintainer scripts would do: here they do not run, so a person has to know."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from rootfs_tool import store

_USERS = "make users{} ([[user]] does)"
_SERVICE = "start its service ([[service]] does)"
_FILES = "make files{}"
_PRIVILEGES = "give its programs privileges"
_CONFIGURATION = "/usr/share/debconf/confmodule"
# A program of a script's (deb-postinst(5), debhelper's autoscripts) -> what it does, to what.
_DEEDS = {
    **dict.fromkeys(("adduser", "useradd", "systemd-sysusers", "sysusers.sh"), _USERS),
    **dict.fromkeys(("addgroup", "groupadd"), "make groups{}"),
    **dict.fromkeys(("ssh-keygen", "dropbearkey"), "make host keys"),
    "update-alternatives": "link{}",
    **dict.fromkeys(("setcap", "dpkg-statoverride"), _PRIVILEGES),
    **dict.fromkeys(("deb-systemd-invoke", "invoke-rc.d", "update-rc.d"), _SERVICE),
    **dict.fromkeys(("cp", "install", "ln", "mv", "touch", "ucf"), _FILES),
    "update-ca-certificates": "fill /etc/ssl/certs",
    "pam-auth-update": "configure PAM",
    "py3compile": "compile its Python ahead",
    ".": "ask how to configure it",
}
_MENTIONED = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, _DEEDS))})(?![\w-])")
_BEFORE = {"if", "then", "else", "elif", "do", "while", "!", "{", "(", ")"}
_NAME = re.compile(r"[a-z_][a-z0-9_-]*")
_PATH = re.compile(r"(?:/[A-Za-z0-9_.+@-]+)+")
_ROOT = re.compile(r"^\$(?:DPKG_ROOT|\{DPKG_ROOT(?::-)?\})")
_OF_AN_UPGRADE = re.compile(r"[.-](?:dpkg-)?(?:bak|backup|old|remove|dist)$")


def wants(digest: str) -> str:
    """What the scripts of the package with that sha256 would do, in words; empty if nothing.

    Users, groups and files have their names where the script writes them out. What only keeps
    dpkg's own books, or the loader's cache that this rootfs does without, is nothing.
    """
    stored = store.find("scripts", digest)
    if stored is None:
        return ""
    names = (name for name in ("/preinst", "/postinst") if name in stored.rows)
    found: dict[str, dict[str, None]] = {}
    for name in names:
        for deed, to in deeds(stored.path(name).read_text(errors="replace")):
            found.setdefault(deed, {})[to] = None
    order = list(dict.fromkeys(_DEEDS.values()))
    return "; ".join(_in_words(deed, list(found[deed])) for deed in sorted(found, key=order.index))


def deeds(script: str) -> Iterator[tuple[str, str]]:
    """Each thing that a shell script does, and to what: empty where only the script knows."""
    for line in script.replace("\\\n", " ").splitlines():
        if _MENTIONED.search(line) is None:
            continue
        for words in _commands(line):
            deed = _DEEDS.get(words[0].rpartition("/")[2])
            if deed is not None and (to := _object(deed, words[1:])) is not None:
                yield deed, to


def _commands(line: str) -> Iterator[list[str]]:
    """The commands of a line of shell, each its words."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for token in lexer:
            if not token or not set(token) <= set("();<>|&"):  # or "", as of --gecos
                if words or (token not in _BEFORE and not re.match(r"\w+=", token)):
                    words.append(token)
                continue
            if token.startswith((">", "<")) and words and words[-1].isdigit():
                words.pop()  # 2>
            if words:
                yield words
            words = []
    except ValueError:  # quotes that end on another line
        pass
    if words:
        yield words


def _object(deed: str, words: Sequence[str]) -> str | None:
    """What a command does it to, empty if that cannot be told; None if it does nothing new."""
    last = _ROOT.sub("", words[-1]) if words else ""
    if deed == _DEEDS["."]:
        return "" if last == _CONFIGURATION else None
    if deed == _PRIVILEGES:
        return None if "--list" in words else ""
    if deed == _DEEDS["update-alternatives"]:
        return words[words.index("--install") + 1] if "--install" in words[:-1] else None
    if deed == _FILES:
        if not words or last.endswith(".dpkg-new") or any(map(_OF_AN_UPGRADE.search, words)):
            return None
        return last if _PATH.fullmatch(last) else ""
    if last.endswith(".conf"):
        return f"of /usr/lib/sysusers.d/{last}"
    return last if "{}" in deed and _NAME.fullmatch(last) else ""


def _in_words(deed: str, to: Sequence[str]) -> str:
    named = [one for one in to if one]
    more = " and more" if named and len(named) < len(to) else ""
    return deed.format(f" {', '.join(named)}{more}" if named else "")
