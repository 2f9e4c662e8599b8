"""Deployments as programs: one per replica, with the rendered command, environment and mounts."""

import copy
from dataclasses import dataclass
from pathlib import Path

from tailrace_operator.local.mounts import Mounts, Places
from tailrace_operator.local.processes import Program
from tailrace_operator.render import Manifest


@dataclass(frozen=True, slots=True)
class Machine:
    """What the programs run with: directories, logs, and the interpreter that stands for the images."""

    places: Places
    logs: Path


def programs_of(
    deployment: Manifest, config: Manifest, python: Path, machine: Machine, first: int = 1
) -> list[Program]:
    """The programs of a Deployment, numbered from `first`; their settings files are written."""
    pod = deployment["spec"]["template"]["spec"]
    mounts = Mounts.of(pod, machine.places)
    mounts.write_config(config, machine.places)
    name = deployment["metadata"]["name"]
    return [
        _program(f"{name}-{number}", pod, mounts, python, machine)
        for number in range(first, first + deployment["spec"]["replicas"])
    ]


def with_own_config(deployment: Manifest, config: Manifest, number: int) -> tuple[Manifest, Manifest]:
    """A Deployment whose configuration is its own: replicas that share a machine cannot share a port."""
    one, own = copy.deepcopy((deployment, config))
    name = own["metadata"]["name"] = f"{config['metadata']['name']}-{number}"
    for volume in one["spec"]["template"]["spec"]["volumes"]:
        if "configMap" in volume:
            volume["configMap"]["name"] = name
    return one, own


def _program(name: str, pod: Manifest, mounts: Mounts, python: Path, machine: Machine) -> Program:
    container = pod["containers"][0]
    command = [str(python) if part == "python" else part for part in mounts.rewritten(container["command"])]
    given = [variable for variable in container.get("env", []) if "value" in variable]
    env = {variable["name"]: mounts.rewritten(variable["value"]) for variable in given}
    return Program(
        name=name,
        command=command,
        log=machine.logs / f"{name}.log",
        env={"PYTHONUNBUFFERED": "1"} | env,
        stop_within_s=pod["terminationGracePeriodSeconds"],
    )
