"""What the board's shell was told: the programs of a command line, each with its words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from getopt import GetoptError, gnu_getopt

_ENDS = re.compile(r"[;|&\n()`]+|(?<=\s)[{}](?=\s)")
_REDIRECTED = re.compile(r"(?:(?<=\s)\d)?[<>]+&?\s*[^\s;|&()]+")
# What `sh -c` and `su -c` are to run, in quotes.
_WITHIN = re.compile(r"(\b(?:su|\w*sh)\s[^;|&\n'\"]*?-\w*c\s*)['\"]")
_KEYWORDS = ("if", "then", "elif", "else", "while", "until", "do", "!", "{", "time")
# They run what follows, behind their own options, numbers and names of signals.
_RUNNERS = ("busybox", "env", "exec", "nice", "nohup", "setsid", "sudo", "timeout")
_OWN = re.compile(r"-.*|\d.*|[A-Z]+|\w+=.*")

# Options by getopt(3): BusyBox's and OpenBSD's nc, BusyBox's telnet.
_OPTIONS = {"nc": "46CDFNUbdhklnrtuvze:i:o:p:q:s:w:T:X:x:", "telnet": "al:"}
_SERVERS = ("nc", "httpd", "telnetd", "ftpd", "dnsd", "dropbear", "sshd")
_PORT_OPTION = re.compile(r"-\w*p(.*)")
_TELNET = 23  # its port where none is named


def programs(command: str) -> Iterator[tuple[str, list[str]]]:
    """Each program that ``command`` names where a shell takes it for one, and its words.

    Quotes and redirections are taken away, a variable stays as it is written.
    """
    for part in _ENDS.split(_REDIRECTED.sub(" ", _WITHIN.sub(r"\1;", command))):
        words = [word.strip("'\"") for word in part.split()]
        while words and (words[0] in _KEYWORDS or re.match(r"\w+=", words[0])):
            del words[0]
        while words and words[0].rpartition("/")[2] in _RUNNERS:
            del words[0]
            while words and _OWN.fullmatch(words[0]):
                del words[0]
        if words and words[0]:
            yield words[0], words[1:]


def operands(words: Sequence[str], options: str) -> tuple[dict[str, str], list[str]]:
    """Options with their values, and what is left, of a program's ``words`` (getopt(3)).

    Both are empty where there is an option that ``options`` does not have.
    """
    with suppress(GetoptError):
        found, rest = gnu_getopt(list(words), options)
        return dict(found), rest
    return {}, []


def ports(command: str) -> list[int]:
    """The ports that a command speaks to, or where it listens, also those that go unsaid."""
    found: list[int] = []
    for path, words in programs(command):
        name = path.rpartition("/")[2]
        if name in _OPTIONS:
            options, rest = operands(words, _OPTIONS[name])
            alone = rest[:1] if "-l" in options else []
            found += [int(one) for one in rest[1:2] or alone if one.isdecimal()]
            found += [_TELNET] if name == "telnet" and len(rest) == 1 else []
        if name in _SERVERS:
            found += _at(words)
    return found


def hosts(command: str) -> list[str]:
    """Whom a command's nc and telnet speak to, and whose URLs it names, as they are written."""
    found = re.findall(r"://(?:[^/@\s]*@)?([\w.-]+)", command)
    for path, words in programs(command):
        name = path.rpartition("/")[2]
        if name in _OPTIONS:
            found += operands(words, _OPTIONS[name])[1][:1]
    return found


def _at(words: Sequence[str]) -> Iterator[int]:
    """The value of -p: a port, or an address and a port."""
    for option, following in zip(words, [*words[1:], ""], strict=False):
        if at := _PORT_OPTION.fullmatch(option):
            port = (at[1] or following).rpartition(":")[2]
            if port.isdecimal():
                yield int(port)
