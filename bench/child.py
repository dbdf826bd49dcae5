"""One run in a process of its own: `python -m bench.child module:function '{"arguments": 1}'`; see `common.child`."""

import importlib
import json
import sys
from dataclasses import asdict


def main() -> None:
    """Call the function, and print the `Timed` that it returns as the last line."""
    module, _, function = sys.argv[1].partition(":")
    timed = getattr(importlib.import_module(module), function)(**json.loads(sys.argv[2]))
    print(json.dumps(asdict(timed)))


if __name__ == "__main__":
    main()
