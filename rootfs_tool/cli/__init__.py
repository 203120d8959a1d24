"""The command line: this file knows the commands' names, one file each has what they do.

Nothing is imported here that ``--help`` does not need: the list of commands answers at once, and a
command pays only for itself.
"""

from __future__ import annotations

import gc
import os
import sys

from rootfs_tool.cli import streams

# name -> (module, what the list of commands says)
COMMANDS = {
    "boards": ("boards", "List, show and check board profiles."),
    "render": ("render", "Write the init scripts of a board alone."),
    "build": ("build", "Build a bootable rootfs."),
    "cc": ("cc", "Compile C files into a static program for the board."),
    "lock": ("lock", "Pin every package that building it takes."),
    "sbom": ("sbom", "List what is in a build, and its licences."),
    "clean": ("clean", "Remove what a build made, or the cache."),
    "flash": ("flash", "Write its image to a card, and check every byte of it."),
    "run": ("run", "Boot it in QEMU, your terminal on its console."),
    "bringup": ("bringup", "Boot it, log in, check it, run your programs on it."),
    "console": ("console", "Your terminal on a board's console."),
    "log": ("log", "Keep what a board says, each line with its time."),
    "exec": ("exec", "Run a command on a board that is up."),
    "push": ("push", "Send files to a board, over its console if need be."),
    "pull": ("pull", "Fetch files from a board over its console."),
    "ssh": ("ssh", "Log in to a board by SSH, or run a command there."),
    "reset": ("reset", "Start a board anew: by its power, SysRq or `reboot`."),
    "tftp-serve": ("tftp_serve", "Serve a directory to boards by TFTP."),
    "hostnet": ("hostnet", "This host's side of a board: TAP, NAT, DHCP."),
    "net": ("net", "A board's interfaces, sockets and connections, from both ends."),
    "image": ("image", "Look into an image: files, differences, sizes."),
    "doctor": ("doctor", "Is this host ready, and if not, what mends it?"),
}

HELP = """\
Usage: rootfs-tool [OPTIONS] COMMAND [ARGS]...

  Build a minimal BusyBox rootfs for a board, boot it, and check that it came up.

Options:
  --version  Show the version and exit.
  -v, --verbose  Show the host programs that are run.
  --debug    Show the traceback of an error.
  -h, --help  Show this message and exit.

Commands:
"""


def main() -> None:
    """The ``rootfs-tool`` program."""
    streams.ready()
    completing = "_ROOTFS_TOOL_COMPLETE" in os.environ
    if sys.argv[1:] in ([], ["-h"], ["--help"]) and not completing:
        if status := streams.say(help_text()):
            sys.exit(status)
        return
    gc.disable()  # importing makes no garbage, but enough objects to look for it ten times
    from rootfs_tool.cli.group import run

    run()


def help_text() -> str:
    """What ``rootfs-tool --help`` prints."""
    width = max(map(len, COMMANDS)) + 2
    return HELP + "".join(f"  {name:{width}}{text}\n" for name, (_, text) in COMMANDS.items())
