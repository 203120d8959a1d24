"""What copyright files say, in the words of SPDX: Debian's short names, and what has none."""

from __future__ import annotations

import re

import pytest
from cyclonedx.spdx import is_expression
from hypothesis import given
from hypothesis import strategies as st

from rootfs_tool import licence
from rootfs_tool.licence import Licence

HEADER = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"


def declared(*licences: str, package: str = "tool") -> str:
    stanzas = (
        f"Files: part{n}/*\nCopyright: us\nLicense: {one}\n" for n, one in enumerate(licences)
    )
    return licence.of("\n".join((HEADER, *stanzas)), package).expression


def is_spdx(expression: str) -> bool:
    """Whether it is an expression, for a library that knows no references."""
    return is_expression(re.sub(r"LicenseRef-[A-Za-z0-9.-]+", "MIT", expression))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("GPL-2", "GPL-2.0-only"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("GPL-2.0-only", "GPL-2.0-only"),
        ("gpl-3-or-later", "GPL-3.0-or-later"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("LGPL-2", "LGPL-2.0-only"),
        ("GPL", "GPL-1.0-or-later"),
        ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
        ("Expat", "MIT"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("Apache-2", "Apache-2.0"),
        ("zlib", "Zlib"),
        ("GPL-2 or BSD-2-clause", "GPL-2.0-only OR BSD-2-Clause"),
        ("ISC and LGPL-2.1+", "ISC AND LGPL-2.1-or-later"),
        (
            "GPL-1+ or Artistic, and BSD-3-clause",
            "(GPL-1.0-or-later OR Artistic-1.0) AND BSD-3-Clause",
        ),
        ("GPL-2+ with Texinfo exception", "GPL-2.0-or-later WITH Texinfo-exception"),
        ("GPL-2.0 WITH Linux-syscall-note EXCEPTION", "GPL-2.0-only WITH Linux-syscall-note"),
        ("GPL-2+ with MIT exception", "LicenseRef-tool-GPL-2-or-later-with-MIT-exception"),
        ("GPL-2+-or-X11", "LicenseRef-tool-GPL-2-or-later-or-X11"),
        ("public-domain", "LicenseRef-tool-public-domain"),
        ("eCos-2.0", "LicenseRef-tool-eCos-2.0"),
        ("BSD (as of 4.4)", "LicenseRef-tool-BSD-as-of-4.4"),
    ],
)
def test_one_declaration(said: str, expected: str) -> None:
    found = declared(said)
    assert found == expected
    assert is_spdx(found)


def test_all_stanzas_count_once_each() -> None:
    found = declared("ISC", "GPL-2 or Expat", "ISC and X11", "GPL-2 or Expat")
    assert found == "(GPL-2.0-only OR MIT) AND ISC AND X11"
    assert is_spdx(found)


def test_texts_of_licences_are_no_declarations() -> None:
    text = f"{HEADER}\nFiles: *\nLicense: ISC\n\nLicense: GPL-2\n The text of it\n ...\n"
    assert licence.of(text, "tool") == Licence(expression="ISC")


def test_what_only_a_person_can_read() -> None:
    text = (
        "It is free: see /usr/share/common-licenses/GPL-2, and for the library\n"
        "`/usr/share/common-licenses/LGPL-2.1'. GPL-2 is in /usr/share/common-licenses/GPL-2.\n"
    )
    found = licence.of(text, "g++")
    assert found == Licence(expression="LicenseRef-g", named=("GPL-2", "LGPL-2.1"))


@given(st.text())
def test_whatever_a_file_declares_is_an_expression(text: str) -> None:
    line = " ".join(text.split())
    assert is_spdx(declared(f"{line} and ISC"))
    assert is_spdx(licence.of(text, "tool").expression)
