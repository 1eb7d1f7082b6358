"""`python -m uvlm_core.worker`: the worker without the packages of the command line."""

from __future__ import annotations

import argparse

from uvlm_core.processors import limit_threads


def main(arguments: list[str] | None = None) -> None:
    """Parses the arguments and serves; returns never."""
    parser = argparse.ArgumentParser("uvlm_core.worker", description="JSON-RPC 2.0 over stdin and stdout; see "
                                     "docs/worker-protocol.md.")
    parser.add_argument("--parent", type=int, help="process whose end ends the worker; default: its starter")
    parser.add_argument("--timings", help="file with the seconds of former runs; default: none")
    options = parser.parse_args(arguments)
    limit_threads()  # before the numeric libraries are loaded
    from uvlm_core.worker.server import serve_process

    serve_process(options.parent, options.timings)


if __name__ == "__main__":
    main()
