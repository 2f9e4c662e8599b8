"""`python -m harness up|down|status|build|load`: clusters by hand, with the code that the tests use."""

import argparse
import signal
import sys
from pathlib import Path

from . import binaries, images, launch
from .cluster import LEVELS, TWO_NODES
from .errors import HarnessError
from .sandbox import stop_detached


def up(options: argparse.Namespace) -> None:
    """Start a cluster that stays."""
    cluster = launch.start(options.level, detached=True, archives=options.image)
    print(
        f"export KUBECONFIG={cluster.kubeconfig}\n# kubectl is {cluster.kubectl_path}\n# end it: python -m harness down"
    )


def down(options: argparse.Namespace) -> None:
    """End the clusters that `up` started, or one of them."""
    stopping = [each for each in launch.detached() if options.number in {None, each.number}]
    for instance in stopping:
        stop_detached(instance)
    print(f"ended: {[instance.number for instance in stopping] or 'none ran'}")


def status(options: argparse.Namespace) -> None:
    """List the clusters that `up` started."""
    for instance in launch.detached():
        cluster = launch.attach(instance)
        nodes = {name: "running" if node.running else "down" for name, node in cluster.nodes.items()}
        print(f"{instance.number} {cluster.level} {cluster.kubeconfig} {nodes or ''}")


def build(options: argparse.Namespace) -> None:
    """Build all that is kept between runs."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    binaries.build_all()
    print(images.pause(), images.base(), sep="\n")


def load(options: argparse.Namespace) -> None:
    """Load image archives into the nodes of the clusters that `up` started."""
    for instance in launch.detached():
        for archive in options.image:
            launch.attach(instance).load_image(archive)


def main() -> int:
    """Parse, run, and tell a failure in one line."""
    parser = argparse.ArgumentParser(prog="python -m harness", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for command in (up, down, status, build, load):
        added = commands.add_parser(command.__name__, help=command.__doc__)
        added.set_defaults(command=command)
        if command is up:
            added.add_argument("--level", choices=LEVELS, default=TWO_NODES)
            added.add_argument("--image", type=Path, action="append", default=[], help="an archive for the nodes")
        if command is down:
            added.add_argument("number", type=int, nargs="?", help="the one to end; `status` lists them")
        if command is load:
            added.add_argument("image", type=Path, nargs="+")
    options = parser.parse_args()
    try:
        options.command(options)
    except HarnessError as error:
        print("\n".join([f"error: {error}", *getattr(error, "__notes__", [])]), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
