"""The rules of weights and of vLLM's fields, on both sides of each limit."""

import pytest
from pydantic import ValidationError
from tailrace_operator.resources import StreamingModel

HF = {"hf": {"repo": "o/n"}}
SHA = "0123456789abcdef" * 4
FILE = {"url": "https://h/x", "sha256": SHA, "name": "config.json"}


def refusals(document):
    with pytest.raises(ValidationError) as caught:
        StreamingModel.parse(document)
    return "; ".join(error["msg"] for error in caught.value.errors())


def weights(make, source, **more):
    return make.document(model={"source": source, **more}, engine={"vllm": {}})


def vllm(make, **fields):
    return make.document(**make.vllm(**fields))


SOURCES = {
    "path": {"path": "m"},
    "hf": HF,
    "pvc": {"pvc": {"claimName": "c"}},
    "s3": {"s3": {"bucket": "bbb"}},
    "http": {"http": {"files": [FILE]}},
}


@pytest.mark.parametrize("one", SOURCES)
@pytest.mark.parametrize("other", SOURCES)
def test_exactly_one_source(make, one, other):
    both = SOURCES[one] | SOURCES[other]
    if one == other:
        assert StreamingModel.parse(weights(make, both))
    else:
        assert refusals(weights(make, both)) == "set exactly one of path, hf, pvc, s3 and http"


def test_no_source_is_none_too_few(make):
    assert "set exactly one of path, hf, pvc, s3 and http" in refusals(weights(make, {}))


@pytest.mark.parametrize(
    "source",
    [
        {"hf": {"repo": "n"}},
        {"hf": {"repo": "o/n", "revision": "refs/pr/3", "endpoint": "http://mirror.svc:8080/base"}},
        {"hf": {"repo": "o/n", "tokenSecret": {"name": "hub", "key": "HF_TOKEN"}}},
        {"pvc": {"claimName": "c", "path": "a/b-c/d.e"}},
        {"s3": {"bucket": "a.b-c", "prefix": "p/", "endpoint": "http://minio:9000", "region": "us-east-1"}},
        {"http": {"files": [FILE, FILE | {"name": "b"}]}},
        {"http": {"files": [FILE | {"url": "http://h:1/a?x=1&y=%20"}]}},
    ],
)
def test_sources_that_are_taken(make, source):
    assert StreamingModel.parse(weights(make, source))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({"hf": {"repo": "a/b/c"}}, "pattern"),
        ({"hf": {"repo": "../x"}}, "pattern"),
        ({"hf": {"repo": "o/n", "revision": ""}}, "pattern"),
        ({"hf": {"repo": "o/n", "endpoint": "mirror"}}, "pattern"),
        ({"hf": {"repo": "o/n", "tokenSecret": {"name": "hub"}}}, "required"),
        ({"hf": {"repo": "o/n", "tokenSecret": {"name": "Hub", "key": "k"}}}, "pattern"),
        ({"path": "a/../b"}, "must not contain '..'"),
        ({"pvc": {"claimName": "c", "path": ".."}}, "must not contain '..'"),
        ({"pvc": {"claimName": "c", "path": "a/../b"}}, "must not contain '..'"),
        ({"pvc": {"claimName": "c", "path": "/a"}}, "pattern"),
        ({"pvc": {"claimName": "c", "path": "a//b"}}, "pattern"),
        ({"s3": {"bucket": "ab"}}, "pattern"),
        ({"s3": {"bucket": "Abc"}}, "pattern"),
        ({"s3": {"bucket": "abc", "prefix": "a b"}}, "pattern"),
        ({"http": {"files": []}}, "at least 1"),
        ({"http": {"files": [FILE, FILE]}}, "name 'config.json' is there twice: rename one"),
        ({"http": {"files": [FILE | {"sha256": SHA[1:]}]}}, "pattern"),
        ({"http": {"files": [FILE | {"sha256": SHA.upper()}]}}, "pattern"),
        ({"http": {"files": [FILE | {"url": "ftp://h/x"}]}}, "pattern"),
        ({"http": {"files": [FILE | {"name": "../x"}]}}, "pattern"),
    ],
)
def test_sources_that_are_refused(make, source, says):
    assert says in refusals(weights(make, source))


def test_a_cache_is_for_what_is_downloaded(make):
    cache = {"size": "1Gi"}
    for kind in ("hf", "s3", "http"):
        assert StreamingModel.parse(weights(make, SOURCES[kind], cache=cache)).spec.model.cache.access_mode
    for kind in ("path", "pvc"):
        assert "are read where they lie: leave cache out" in refusals(weights(make, SOURCES[kind], cache=cache))


def test_a_size_limit_is_for_downloads_without_cache(make):
    assert StreamingModel.parse(weights(make, HF, sizeLimit="20Gi"))
    both = weights(make, HF, sizeLimit="20Gi", cache={"size": "20Gi"})
    assert refusals(both) == "sizeLimit is for downloads without cache: set cache.size instead"


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("size", ("1Mi", "1Pi"), ("1023Ki", "2Pi")),
        ("accessMode", ("ReadWriteMany", "ReadWriteOnce"), ("ReadOnlyMany",)),
        ("storageClassName", ("nfs",), ("", "N")),
        ("keep", (True, False), ("yes",)),
    ],
)
def test_bounds_of_the_cache(make, field, good, bad):
    for value in good:
        assert StreamingModel.parse(weights(make, HF, cache={"size": "1Gi", field: value}))
    for value in bad:
        assert refusals(weights(make, HF, cache={"size": "1Gi", field: value}))


def test_a_cache_says_its_size(make):
    assert "required" in refusals(weights(make, HF, cache={}))


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("contextLength", (16, 16_777_216), (15, 16_777_217)),
        ("maxStreams", (1, 4096), (0, 4097)),
        ("maxBatchedTokens", (1, 16_777_216), (0, 16_777_217)),
        ("tensorParallelSize", (1, 64), (0, 65)),
        ("pipelineParallelSize", (1, 64), (0, 65)),
        ("gpuMemoryUtilization", (0.05, 0.9, 1), (0.04, 1.01)),
        ("dtype", ("auto", "float16", "bfloat16", "float32"), ("int8",)),
        ("quantization", ("awq", "fp8_per_tensor"), ("AWQ", "a b")),
        ("kvCacheDtype", ("auto", "fp8_e4m3"), ("FP8",)),
        ("kvCacheMemory", ("1Mi", "64Ti"), ("1Ki", "65Ti")),
        ("kvOffload", ("1Mi", "64Ti"), ("1Ki", "65Ti")),
        ("cpuOffload", ("1Mi", "64Ti"), ("1Ki", "65Ti")),
        ("toolCallParser", ("h", "h" * 64), ("", "h" * 65)),
        ("reasoningParser", ("h", "h" * 64), ("", "h" * 65)),
        ("enforceEager", (True, False), ("true",)),
        ("trustRemoteCode", (True, False), (1,)),
        ("extraArgs", ([], ["-x"] * 32, ["x" * 512]), (["-x"] * 33, ["x" * 513], [""])),
    ],
)
def test_bounds_of_vllms_fields(make, field, good, bad):
    for value in good:
        assert StreamingModel.parse(vllm(make, **{field: value}))
    for value in bad:
        assert refusals(vllm(make, **{field: value}))


@pytest.mark.parametrize(("tensor", "pipeline", "gpus", "fits"), [(2, 2, 4, True), (2, 2, 3, False), (1, 1, 1, True)])
def test_a_model_fits_its_gpus(make, tensor, pipeline, gpus, fits):
    spec = make.vllm(tensorParallelSize=tensor, pipelineParallelSize=pipeline) | {"resources": {"gpu": {"count": gpus}}}
    if fits:
        assert make.model(**spec)
    else:
        assert "must not exceed resources.gpu.count: lower them or raise the count" in refusals(make.document(**spec))


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ({"inline": "x"}, None),
        ({"path": "a/b.jinja"}, None),
        ({"path": "/a/b.jinja"}, None),
        ({"inline": "x" * 65_536}, None),
        ({}, "set exactly one of inline and path"),
        ({"inline": "x", "path": "y"}, "set exactly one of inline and path"),
        ({"path": "../x"}, "path must not contain '..': name the file itself"),
        ({"inline": "x" * 65_537}, "65536"),
    ],
)
def test_chat_templates(make, template, says):
    document = vllm(make, chatTemplate=template)
    assert says in refusals(document) if says else StreamingModel.parse(document)


DRAFT = {"path": "d"}


@pytest.mark.parametrize(
    ("speculative", "says"),
    [
        ({"method": "ngram"}, None),
        ({"method": "ngram", "ngram": {"min": 3, "max": 3}}, None),
        ({"method": "draft", "draftModel": DRAFT}, None),
        ({"method": "eagle3", "draftModel": HF, "tokens": 64}, None),
        ({"method": "medusa"}, "'ngram', 'draft', 'eagle' or 'eagle3'"),
        ({"tokens": 3}, "required"),
        ({"method": "ngram", "tokens": 0}, "greater than or equal to 1"),
        ({"method": "ngram", "tokens": 65}, "less than or equal to 64"),
        ({"method": "ngram", "draftModel": DRAFT}, "needs draftModel, and method ngram has none"),
        ({"method": "eagle"}, "needs draftModel, and method ngram has none"),
        ({"method": "draft", "draftModel": DRAFT, "ngram": {}}, "ngram is for method ngram"),
        ({"method": "ngram", "ngram": {"min": 4, "max": 3}}, "ngram.min must not exceed ngram.max"),
        ({"method": "draft", "draftModel": {}}, "set exactly one of path"),
    ],
)
def test_speculation(make, speculative, says):
    document = make.document(**make.vllm(speculative=speculative), resources={"gpu": {"count": 1}})
    assert says in refusals(document) if says else StreamingModel.parse(document)


def test_speculation_is_for_gpus(make):
    assert "engine.vllm.speculative needs resources.gpu" in refusals(vllm(make, speculative={"method": "ngram"}))


def adapters(*names):
    return [{"name": name, "source": {"path": name}} for name in names]


@pytest.mark.parametrize(
    ("lora", "says"),
    [
        ({"adapters": adapters("a")}, None),
        ({"adapters": adapters("a", "b.c-d_e"), "maxRank": 512, "maxActive": 1}, None),
        ({"adapters": adapters(*(f"a{number}" for number in range(32)))}, None),
        ({"adapters": adapters(*(f"a{number}" for number in range(33)))}, "at most 32"),
        ({"adapters": []}, "at least 1"),
        ({}, "required"),
        ({"adapters": adapters("a", "a")}, "name 'a' is there twice: rename one"),
        ({"adapters": adapters("a=b")}, "pattern"),
        ({"adapters": adapters("a"), "maxRank": 17}, "8, 16, 32"),
        ({"adapters": adapters("a"), "maxActive": 0}, "greater than or equal to 1"),
        ({"adapters": adapters("echo")}, "an adapter must not be called like the model: choose another name for it"),
    ],
)
def test_adapters(make, lora, says):
    document = vllm(make, lora=lora)
    assert says in refusals(document) if says else StreamingModel.parse(document)


def test_a_backend_for_structured_outputs_is_one_of_vllms(make):
    assert StreamingModel.parse(vllm(make, structuredOutputs={"backend": "lm-format-enforcer"}))
    assert refusals(vllm(make, structuredOutputs={"backend": "lmfe"}))
