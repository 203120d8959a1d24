"""Host keys of one's own: found, or what is wrong with them."""

from __future__ import annotations

import base64
import shlex
import subprocess
from pathlib import Path

import pytest

from rootfs_tool import hostkeys
from rootfs_tool.errors import ConfigError


def test_a_directory_without_host_keys(tmp_path: Path) -> None:
    tmp_path = tmp_path / "my keys"
    tmp_path.mkdir()
    with pytest.raises(ConfigError, match="holds no host key") as caught:
        hostkeys.keys(tmp_path)
    assert caught.value.hint is not None
    subprocess.run(shlex.split(caught.value.hint), check=True, capture_output=True)
    (key,) = hostkeys.keys(tmp_path).values()
    path = tmp_path / hostkeys.OPENSSH
    public = path.with_suffix(".pub").read_text().split()[1]
    assert key[-32:] == base64.b64decode(public)[-32:]
    whole = path.read_text()
    for text, reason in (
        ("", "no private key"),
        (whole[:100] + whole[180:], "damaged|no Ed25519"),
        (path.with_suffix(".pub").read_text(), "no private key"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=reason):
            hostkeys.keys(tmp_path)
    path.write_text(whole)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", path], check=True)
    with pytest.raises(ConfigError, match="has a passphrase"):
        hostkeys.keys(tmp_path)
    path.unlink()
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", path], check=True)
    with pytest.raises(ConfigError, match="is no Ed25519 key"):
        hostkeys.keys(tmp_path)
