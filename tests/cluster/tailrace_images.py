"""Tailrace's images, built from this checkout by the recipes of the releases, and cached by their content."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from harness import images

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("operator", "gateway", "fetcher", "worker-simulated")


def recipes() -> ModuleType:
    """`images/build.py`, which is a script beside the packages."""
    spec = importlib.util.spec_from_file_location("tailrace_image_recipes", ROOT / "images" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@cache
def archive(name: str) -> Path:
    """The archive of one image; built if this content was never built on this machine. A session has one of each."""
    known = recipes()
    image = known.IMAGES[name]
    return images.build(
        ROOT / image.dockerfile,
        ROOT,
        f"{known.REGISTRY}/{name}:{known.version()}",
        key=images.content_key(*image.inputs),
        build_args={"BASE": images.BASE, "VERSION": known.version()},
        target=image.target,
    )
