"""Which of a model's files vLLM needs; pure.

Repositories carry the same weights in many formats; fetching all of them costs minutes and disk. What vLLM surely
does not load is left out, everything else is fetched: a small file too many does no harm, one too few breaks a model.
"""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import PurePosixPath


def _patterns(*lines: str) -> tuple[str, ...]:
    return tuple(" ".join(lines).split())


#: Directories with other formats and intermediate trainings.
LEFT_OUT_DIRECTORIES = _patterns(
    "original onnx openvino coreml metal gguf tflite .git .cache *.mlpackage *.mlmodelc",
    "checkpoint-* global_step*",
)
#: Weights that vLLM does not load, what a training leaves behind, documents, pictures, data sets.
LEFT_OUT_FILES = _patterns(
    "*.gguf *.ggml *.onnx *.onnx_data *.onnx.data *.h5 *.msgpack *.tflite *.ot *.mlmodel *.pth *.ckpt *.nemo *.engine",
    "*.llamafile",
    "training_args.bin optimizer.bin optimizer.pt scheduler.pt scaler.pt trainer_state.json rng_state*",
    "events.out.tfevents*",
    "*.md *.pdf *.ipynb *.png *.jpg *.jpeg *.gif *.webp *.svg *.mp3 *.mp4 *.wav *.zip *.tar *.tar.gz *.parquet",
    ".gitattributes .gitignore",
)
#: From the best to the one that vLLM takes when there is nothing better.
WEIGHTS = (".safetensors", ".bin", ".pt")
#: Mistral's own format. vLLM prefers it where `params.json` lies beside it.
CONSOLIDATED = "consolidated*.safetensors"
MISTRAL_CONFIG = "params.json"
_SHARD = re.compile(r"-\d{5}-of-\d{5}")


def select(names: Iterable[str]) -> list[str]:
    """The names of the files to fetch, sorted."""
    wanted = sorted(name for name in names if _wanted(name))
    for directory in {PurePosixPath(name).parent for name in wanted}:
        here = [name for name in wanted if PurePosixPath(name).parent == directory]
        spare = _worse_weights(here) | _other_weights(here)
        wanted = [name for name in wanted if name not in spare]
    return wanted


def has_weights(names: Iterable[str]) -> bool:
    """Whether vLLM finds anything to load among `names`."""
    return any(name.endswith(WEIGHTS) for name in names)


def formats(names: Iterable[str]) -> str:
    """The suffixes among `names`, for the sentence that says why there is nothing to load."""
    return ", ".join(sorted({PurePosixPath(name).suffix for name in names} - {""})) or "none"


def _wanted(name: str) -> bool:
    *directories, file = name.split("/")
    lowered = [directory.lower() for directory in directories]
    left_out = any(_matches(directory, LEFT_OUT_DIRECTORIES) for directory in lowered)
    return not left_out and not _matches(file.lower(), LEFT_OUT_FILES)


def _matches(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _worse_weights(names: list[str]) -> set[str]:
    """Weights in a format for which a better one lies in the same directory."""
    present = [suffix for suffix in WEIGHTS if any(name.endswith(suffix) for name in names)]
    return {name for name in names if name.endswith(tuple(present[1:]))} if len(present) > 1 else set()


def _other_weights(names: list[str]) -> set[str]:
    """Of Mistral's format and Hugging Face's, both in one directory, the one that vLLM does not load."""
    mistral = {name for name in names if fnmatchcase(PurePosixPath(name).name, CONSOLIDATED)}
    others = {name for name in names if _is_model_weight(name)} - mistral
    if not mistral or not others:
        return set()
    return others if any(PurePosixPath(name).name == MISTRAL_CONFIG for name in names) else mistral


def _is_model_weight(name: str) -> bool:
    file = PurePosixPath(name).name
    return file == "model.safetensors" or (file.endswith(".safetensors") and _SHARD.search(file) is not None)
