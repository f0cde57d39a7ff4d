"""`capture.pyz agent | worker | probe | measure | encode`: the host half as processes.

Runs from a zip, from a checkout, from anywhere.
"""

import argparse
import gc
import json
import os
import sys
from pathlib import Path

if not __package__:  # started as a directory or inside a zip: only this folder is on the path, not the package
    sys.path[0] = str(Path(__file__).parent.parent)

# Nearly all that is made at a start stays; to look for garbage in it took a tenth of the time.
GARBAGE_AFTER = 50_000


def main() -> int:
    """Runs one verb; each imports only what it needs, because every worker pays for it."""
    gc.set_threshold(GARBAGE_AFTER)
    parser = argparse.ArgumentParser(prog="capture")
    verbs = parser.add_subparsers(dest="verb", required=True)
    agent = verbs.add_parser("agent", help="serve one coordinator on standard input and output")
    probe = verbs.add_parser("probe", help="print the facts of this host as JSON")
    for verb in (agent, probe):
        verb.add_argument("--workspace", type=Path, default=Path("~/.cache/fleetrender"))
    probe.add_argument("--chromium")
    verbs.add_parser("worker", help="capture blocks for an agent")
    verbs.add_parser("encode", help="make one segment for an agent")
    browser = verbs.add_parser("browser", help="try the browser for an agent")
    browser.add_argument("asked", type=json.loads)
    measure = verbs.add_parser("measure", help="print how long a composition lasts as JSON")
    measure.add_argument("asked", type=json.loads)
    examine = verbs.add_parser("examine", help="compare frames for an agent")
    examine.add_argument("setup", type=os.fsencode)
    examine.add_argument("asked", type=os.fsencode)
    arguments = parser.parse_args()
    return VERBS[arguments.verb](arguments)


def _agent(arguments: argparse.Namespace) -> int:
    from capture import agent

    agent.run(arguments.workspace)


def _worker(_: argparse.Namespace) -> int:
    from capture import tree, worker

    tree.die_with_parent(os.getppid())
    return worker.main()


def _probe(arguments: argparse.Namespace) -> int:
    from capture import probe, wire

    root = arguments.workspace.expanduser().absolute()
    facts = probe.facts(root / probe.machine_id(), arguments.chromium)
    print(json.dumps(wire.to_plain(facts), indent=2))
    return 0


def _browser(arguments: argparse.Namespace) -> int:
    from capture import browser_probe, protocol, tree
    from capture.faults import CaptureError, Fault

    tree.die_with_parent(os.getppid())
    asked = arguments.asked
    try:
        found: protocol.FromAgent = protocol.Probed(
            browser_probe.probe(
                asked["chromium"], asked["args"], sandbox=asked["sandbox"], profile_dir=Path(asked["profile"])
            )
        )
    except CaptureError as error:
        found = protocol.Failed("", 0, Fault(code=error.code, message=error.message))
    sys.stdout.buffer.write(protocol.encode(found))
    return 0


def _measure(arguments: argparse.Namespace) -> int:
    from capture import measure, tree, wire

    tree.become_subreaper()
    tree.die_with_parent(os.getppid())
    measured = measure.measure(wire.from_plain(measure.Asked, arguments.asked))
    print(json.dumps(wire.to_plain(measured)))
    return 0


def _examine(arguments: argparse.Namespace) -> int:
    from capture import examine, protocol, renditions, tree
    from capture.faults import CaptureError, Fault

    tree.die_with_parent(os.getppid())
    setup, asked = protocol.decode(arguments.setup), protocol.decode(arguments.asked)
    if not (
        isinstance(setup, protocol.Setup) and isinstance(asked, protocol.Examine | protocol.Canary | protocol.TryGl)
    ):
        raise protocol.ProtocolError(f"not to be examined: {type(setup).__name__}, {type(asked).__name__}")
    try:
        found: protocol.FromAgent
        if isinstance(asked, protocol.Canary):
            found = examine.canary(setup, asked.frames)
        elif isinstance(asked, protocol.TryGl):
            tried = renditions.try_backends(setup, asked.backends, asked.frames, limit_s=asked.limit_s)
            found = protocol.GlTried(tried)
        else:
            found = examine.examine(setup, asked.ranges)
    except CaptureError as error:
        found = protocol.Failed("", 0, Fault(code=error.code, message=error.message))
    sys.stdout.buffer.write(protocol.encode(found))
    return 0


def _encode(_: argparse.Namespace) -> int:
    from capture import encoder, tree

    tree.die_with_parent(os.getppid())
    return encoder.main()


VERBS = {
    "agent": _agent,
    "worker": _worker,
    "probe": _probe,
    "browser": _browser,
    "measure": _measure,
    "examine": _examine,
    "encode": _encode,
}

if __name__ == "__main__":
    sys.exit(main())
