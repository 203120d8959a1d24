"""What each console tool under test runs: requests in, one JSON object a line, and answers out.

It knows nothing but the standard library: the tools live in environments of their own.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from typing import Protocol


class Tool(Protocol):
    def attach(self, timeout: float) -> None: ...

    def run(self, command: str, timeout: float) -> tuple[int, bytes]:
        """Status and output of ``command``."""
        ...


def serve(tool: Tool) -> None:
    """Answer until stdin ends; what else is printed goes to stderr."""
    answers, sys.stdout = sys.stdout, sys.stderr
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        begun = time.monotonic()
        said: dict[str, object] = {}
        try:
            if request["do"] == "attach":
                tool.attach(request["timeout"])
            else:
                status, output = tool.run(request["command"], request["timeout"])
                said = {"status": status, "output": base64.b64encode(output).decode()}
        except Exception as error:  # each tool has errors of its own: all are answers
            said = {"error": f"{type(error).__name__}: {error}"[:300]}
        said["seconds"] = time.monotonic() - begun
        print(json.dumps(said), file=answers, flush=True)
