"""Putting our packages into an environment that somebody else made, without changing what it holds.

    overlay.py missing LOCKED    print the lines of a requirements file whose packages are not installed
    overlay.py check             fail when what is installed does not suit our packages

Runs in vLLM's image, so it uses only the standard library and `packaging`, which vLLM depends on.
"""

import re
import sys
from importlib import metadata
from pathlib import Path

OURS = ("tailrace-protocol", "tailrace-broker", "tailrace-worker")
_LINE = re.compile(r"([A-Za-z0-9._-]+)==")


def missing(locked: str, installed: set[str]) -> list[str]:
    """The lines `name==version` of `locked` whose packages are not among `installed` (normalised names)."""
    lines = [line for line in locked.splitlines() if (match := _LINE.match(line)) and normal(match[1]) not in installed]
    return [line.rstrip(" \\") for line in lines]


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def conflicts(extra: str) -> list[str]:
    """What our packages, with the `extra` that names the engine, ask for and do not find."""
    from packaging.requirements import Requirement

    found = []
    for package in OURS:
        for text in metadata.requires(package) or []:
            requirement = Requirement(text)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
                continue
            if (problem := problem_with(requirement.name, requirement.specifier)) is not None:
                found.append(f"{package} wants {text}, {problem}")
    return found


def problem_with(name: str, specifier) -> str | None:  # noqa: ANN001 - packaging's, which is not installed everywhere
    """Why the installed version of a package does not do, if so."""
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return "which is not installed"
    # vLLM's own builds carry local versions, such as 0.32.0+cu130.
    return None if specifier.contains(version, prereleases=True) else f"and {version} is installed"


def main() -> int:
    """Do what the command line asks for; the exit status."""
    if sys.argv[1:2] == ["missing"]:
        installed = {normal(found.metadata["Name"]) for found in metadata.distributions()}
        print("\n".join(missing(Path(sys.argv[2]).read_text(), installed)))
        return 0
    problems = conflicts("gpu")
    for problem in problems:
        print(f"error: {problem}: choose a base image that suits (ARG BASE)", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
