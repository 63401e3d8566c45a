# SPDX-License-Identifier: Apache-2.0
"""`python -m milo.backend.service`: the service without the command line's dependencies; `milo serve` is the same."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from milo.protocol import ProtocolError

from .server import serve
from .worker import RUNNER


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m milo.backend.service", description=serve.__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, help="folder of keys, jobs and logs; $MILO_HOME or ~/.milo")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="TCP port; 0 takes a free one")
    parser.add_argument("--parent", type=int, help="end when the process with this id ends")
    parser.add_argument("--device", action="append", help="where jobs run; repeat it for several (default: auto)")
    parser.add_argument("--runner", default=RUNNER, help="module:function in place of the reconstruction, for tests")
    parser.add_argument("--painter", help="module:function in place of the splat renderer, for tests")
    args = parser.parse_args()
    try:
        serve(args.home, args.host, args.port, parent=args.parent, devices=tuple(args.device or ["auto"]),
              runner=args.runner, painter=args.painter)
    except ProtocolError as error:
        print(f"{error.message} {error.hint}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
