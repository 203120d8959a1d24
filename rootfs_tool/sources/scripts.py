"""What a package's maintainer scripts would do: here they do not run, so a person has to know."""

from __future__ import annotations

import re

from rootfs_tool import store

# A script's command, at the start of a line or behind what may stand before one.
_START = r"(?m)^[ \t]*(?:(?:if|then|else|!|&&|\|\|)[ \t]+)*"
# what it looks like in a script (deb-postinst(5), debhelper's autoscripts) -> what it does
_DEEDS = {
    r"(?:adduser|useradd|systemd-sysusers|sysusers\.sh)\b": "make users ([[user]] does)",
    r"(?:addgroup|groupadd)\b": "make groups",
    r"(?:ssh-keygen|dropbearkey)\b": "make host keys",
    r"update-alternatives[ \t]+(?:--quiet[ \t]+)?(?:\\\n[ \t]*)?--install\b": "link alternatives",
    r"(?:setcap|dpkg-statoverride)\b": "give its programs privileges",
    r"(?:deb-systemd-invoke|invoke-rc\.d|update-rc\.d)\b": "start its service ([[service]] does)",
    r"(?:ucf|update-ca-certificates|pam-auth-update|py3compile|cp|install|mv)\b": "make more files",
    r"\. /usr/share/debconf/confmodule\b": "ask how to configure it",
}
_KNOWN = [(re.compile(_START + pattern), deed) for pattern, deed in _DEEDS.items()]


def wants(digest: str) -> str:
    """What the scripts of the package with that sha256 would do, in words; empty if nothing.

    What only keeps dpkg's own books, or the loader's cache that this rootfs does without, is
    nothing.
    """
    stored = store.find("scripts", digest)
    if stored is None:
        return ""
    texts = [
        stored.path(name).read_text(errors="replace")
        for name in ("/preinst", "/postinst")
        if name in stored.rows
    ]
    return ", ".join(dict.fromkeys(d for p, d in _KNOWN if any(map(p.search, texts))))
