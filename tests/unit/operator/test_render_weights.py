"""Where workers find their weights, and what is downloaded by whom, once."""

import re

import pytest
from manifests import container, environment, mounts, of_kind, pod_of, settings_in, volumes
from tailrace_operator.render import RenderSettings, render
from tailrace_protocol.fetch import FetchSettings, HttpFile, HttpSource, HubSource, S3Source
from tailrace_protocol.settings import WorkerSettings

SETTINGS = RenderSettings()
HF = {"hf": {"repo": "o/n", "revision": "abc"}}
SHA = "0" * 64


def model_of(make, source, cache=None, name="echo", metadata=None, vllm=None, **weights):
    spec = {"source": source, **weights} | ({"cache": cache} if cache else {})
    return make.model(name, metadata, model=spec, engine={"vllm": vllm or {}}, resources={"gpu": {"count": 1}})


def rendered(make, source, settings=SETTINGS, **more):
    return render(model_of(make, source, **more), settings)


def directory(rendered):
    arguments = settings_in(of_kind(rendered.manifests, "ConfigMap"), WorkerSettings, "worker.json").vllm.args
    return arguments[arguments.index("--model") + 1]


def is_offline(rendered):
    return environment(container(of_kind(rendered.manifests, "Deployment"))).get("HF_HUB_OFFLINE") == "1"


@pytest.mark.parametrize(
    ("source", "place", "mounted_at", "volume"),
    [
        ({"path": "a/b"}, "/models/a/b", "/models/a/b", {"hostPath": {"path": "/models/a/b", "type": "Directory"}}),
        ({"path": "/data/m"}, "/data/m", "/data/m", {"hostPath": {"path": "/data/m", "type": "Directory"}}),
        (
            {"pvc": {"claimName": "weights"}},
            "/volumes/model",
            "/volumes/model",
            {"persistentVolumeClaim": {"claimName": "weights", "readOnly": True}},
        ),
        (
            {"pvc": {"claimName": "weights", "path": "llama/8b"}},
            "/volumes/model/llama/8b",
            "/volumes/model",
            {"persistentVolumeClaim": {"claimName": "weights", "readOnly": True}},
        ),
    ],
)
def test_weights_that_lie_somewhere_are_read_there(make, source, place, mounted_at, volume):
    result = rendered(make, source)
    deployment = of_kind(result.manifests, "Deployment")

    assert (directory(result), is_offline(result), result.fetch, result.prepare) == (place, True, None, ())
    assert mounts(container(deployment))[mounted_at]["readOnly"] is True
    assert volumes(deployment)["tailrace-model"] == {"name": "tailrace-model", **volume}
    assert "initContainers" not in pod_of(deployment)


def test_on_one_machine_vllm_downloads_from_the_hub_itself(make):
    result = rendered(make, HF, RenderSettings(local=True), cache={"size": "1Gi"})

    assert (directory(result), is_offline(result), result.fetch, result.prepare) == ("o/n", False, None, ())


def test_without_a_cache_each_worker_downloads_before_it_starts(make):
    result = rendered(make, HF, sizeLimit="20Gi")
    files, deployment = (of_kind(result.manifests, kind) for kind in ("ConfigMap", "Deployment"))
    (fetcher,) = pod_of(deployment)["initContainers"]
    told = settings_in(files, FetchSettings, "fetch-model.json")

    assert fetcher["command"][-1] == "/etc/tailrace/fetch-model.json"
    assert told.source == HubSource("o/n", "abc")
    assert told.target == directory(result) == f"/downloads/{told.target.split('/')[-1]}"
    assert (told.namespace, told.model, told.nats.user) == ("default", "echo", "worker")
    assert mounts(fetcher)["/downloads"].get("readOnly") is None
    assert mounts(container(deployment))["/downloads"]["readOnly"] is True
    assert volumes(deployment)["tailrace-downloads"]["emptyDir"] == {"sizeLimit": "20Gi"}
    assert fetcher["resources"]["requests"]["ephemeral-storage"] == "20Gi"
    assert (result.fetch, result.prepare, is_offline(result)) == (None, (), True)


def test_a_cache_is_filled_once_and_only_read_by_workers(make):
    result = rendered(make, HF, cache={"size": "1024Mi", "storageClassName": "nfs"})
    deployment, claim, files = (
        of_kind(result.manifests, "Deployment"),
        of_kind(result.prepare, "PersistentVolumeClaim"),
        of_kind(result.prepare, "ConfigMap"),
    )
    told = settings_in(files, FetchSettings, "fetch-model.json")

    assert claim["metadata"]["name"] == "echo-cache"
    assert claim["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "nfs",
    }
    for workload in (deployment, result.fetch):
        assert volumes(workload)["tailrace-downloads"]["persistentVolumeClaim"] == {"claimName": "echo-cache"}
    assert mounts(container(deployment))["/downloads"]["readOnly"] is True
    assert mounts(container(result.fetch))["/downloads"].get("readOnly") is None
    assert told.target == directory(result)
    assert "initContainers" not in pod_of(deployment)
    assert list(of_kind(result.manifests, "ConfigMap")["data"]) == ["worker.json"]


def test_a_download_tries_until_it_succeeds(make):
    job = rendered(make, HF, cache={"size": "1Gi"}).fetch

    assert job["spec"]["backoffLimit"] >= 10**5
    assert pod_of(job)["restartPolicy"] == "OnFailure"
    assert "activeDeadlineSeconds" not in job["spec"]
    assert "ttlSecondsAfterFinished" not in job["spec"]


def test_a_kept_cache_outlives_its_model(make):
    def owners(keep):
        cache = {"size": "1Gi", "keep": keep}
        prepared = rendered(make, HF, cache=cache, metadata={"uid": "u"}).prepare
        return of_kind(prepared, "PersistentVolumeClaim")["metadata"].get("ownerReferences", [])

    assert [owner["uid"] for owner in owners(keep=False)] == ["u"]
    assert owners(keep=True) == []


@pytest.mark.parametrize(
    ("source", "told", "secret"),
    [
        (
            {"hf": {"repo": "o/n", "tokenSecret": {"name": "hub", "key": "token"}, "endpoint": "https://mirror"}},
            HubSource("o/n", endpoint="https://mirror"),
            {"HF_TOKEN": {"secretKeyRef": {"name": "hub", "key": "token"}}},
        ),
        (
            {"s3": {"bucket": "bbb", "prefix": "p/q", "endpoint": "http://s3:9000", "region": "eu-1"}},
            S3Source("bbb", "p/q", "http://s3:9000", "eu-1"),
            {},
        ),
        (
            {"s3": {"bucket": "bbb", "credentialsSecret": "aws"}},
            S3Source("bbb"),
            {
                key: {"secretKeyRef": {"name": "aws", "key": key}}
                for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
            },
        ),
        (
            {"http": {"files": [{"url": "https://h/a.bin", "sha256": SHA, "name": "a.bin"}]}},
            HttpSource([HttpFile("https://h/a.bin", SHA, "a.bin")]),
            {},
        ),
    ],
)
def test_the_fetcher_is_told_the_source_and_gets_secrets_as_variables(make, source, told, secret):
    result = rendered(make, source, cache={"size": "1Gi"})
    files = of_kind(result.prepare, "ConfigMap")
    given = environment(container(result.fetch))

    assert settings_in(files, FetchSettings, "fetch-model.json").source == told
    assert {name: value for name, value in given.items() if name not in ("HOME", "USER")} == secret
    assert "hub" not in str(files["data"])


def test_another_content_is_another_directory_and_another_way_to_it_is_not(make):
    def place(**hf):
        return directory(rendered(make, {"hf": {"repo": "o/n", **hf}}))

    assert place() == place(revision="main") == place(endpoint="https://mirror")
    assert place() == place(tokenSecret={"name": "a", "key": "b"})
    assert place() != place(revision="other")
    assert directory(rendered(make, {"s3": {"bucket": "bbb"}})) != directory(
        rendered(make, {"s3": {"bucket": "bbb", "endpoint": "http://other"}})
    )


def test_whatever_changes_in_a_job_changes_its_name_since_jobs_cannot_be_changed(make):
    def name(settings=SETTINGS, source=HF, **spec):
        cached = {"source": source, "cache": {"size": "1Gi"}}
        return render(make.model(model=cached, engine={"vllm": {}}, **spec), settings).fetch["metadata"]["name"]

    assert re.fullmatch(r"echo-fetch-[0-9a-f]{10}", name())
    assert name() == name(replicas=7) == name(chunking={"tokens": 2})
    changed = [
        name(RenderSettings(fetcher_image="x:2")),
        name(source={"hf": {"repo": "o/n", "revision": "other"}}),
        name(nodeSelector={"zone": "a"}),
        name(pod={"env": [{"name": "HTTPS_PROXY", "value": "http://proxy"}]}),
    ]
    assert len({name(), *changed}) == 5


def test_draft_models_and_adapters_are_fetched_too_each_to_its_own_place(make):
    vllm = {
        "speculative": {"method": "eagle", "draftModel": {"hf": {"repo": "o/head"}}},
        "lora": {"adapters": [{"name": "sql", "source": {"s3": {"bucket": "bbb"}}}, {"name": "x", "source": HF}]},
    }
    result = rendered(make, {"path": "m"}, vllm=vllm)
    files, deployment = (of_kind(result.manifests, kind) for kind in ("ConfigMap", "Deployment"))
    names = ["fetch-draft", "fetch-adapter-0", "fetch-adapter-1"]
    targets = [settings_in(files, FetchSettings, f"{name}.json").target for name in names]
    arguments = settings_in(files, WorkerSettings, "worker.json").vllm.args

    assert [one["name"] for one in pod_of(deployment)["initContainers"]] == names
    assert len(set(targets)) == 3
    assert f"sql={targets[1]}" in arguments
    assert targets[0] in arguments


def test_a_job_fetches_everything_one_after_the_other(make):
    vllm = {"speculative": {"method": "draft", "draftModel": {"hf": {"repo": "o/small"}}}}
    job = rendered(make, HF, cache={"size": "1Gi"}, vllm=vllm).fetch

    assert [one["name"] for one in pod_of(job)["initContainers"]] == ["fetch-draft"]
    assert container(job)["name"] == "fetch-model"


def test_downloads_run_where_workers_may(make):
    spec = {
        "model": {"source": HF, "cache": {"size": "1Gi"}},
        "engine": {"vllm": {}},
        "nodeSelector": {"zone": "a"},
        "resources": {
            "gpu": {"count": 1, "nodeSelector": {"gpu": "h200"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]}
        },
        "pod": {"tolerations": [{"key": "team", "value": "a"}], "serviceAccountName": "puller"},
    }
    result = render(make.model(**spec), SETTINGS)
    for workload in (result.fetch, of_kind(result.manifests, "Deployment")):
        pod = pod_of(workload)
        assert pod["nodeSelector"] == {"zone": "a", "gpu": "h200"}
        assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists"}, {"key": "team", "value": "a"}]
        assert pod["serviceAccountName"] == "puller"
    assert "nvidia.com/gpu" not in str(result.fetch)


ONE_NODE = {"size": "1Gi", "accessMode": "ReadWriteOnce"}


def test_pods_that_share_a_volume_of_one_node_run_on_one(make):
    """Each matches the term that binds it: so the first one, which finds nobody, may run anywhere."""
    result = rendered(make, HF, cache=ONE_NODE)
    for workload in (result.fetch, of_kind(result.manifests, "Deployment")):
        template = workload["spec"]["template"]
        (term,) = template["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert term["topologyKey"] == "kubernetes.io/hostname"
        assert term["labelSelector"] == {"matchLabels": {"tailrace.dev/cache": "echo-cache"}}
        assert template["metadata"]["labels"].items() >= term["labelSelector"]["matchLabels"].items()


def test_where_pods_may_run_is_added_to_what_binds_them_to_their_volume(make):
    spec = {"model": {"source": HF, "cache": ONE_NODE}, "pod": {"affinity": {"nodeAffinity": {"a": "b"}}}}
    pod = pod_of(of_kind(render(make.model(engine={"vllm": {}}, **spec), SETTINGS).manifests, "Deployment"))

    assert pod["affinity"].keys() == {"nodeAffinity", "podAffinity"}


@pytest.mark.parametrize("cache", [None, {"size": "1Gi"}, {"size": "1Gi", "accessMode": "ReadWriteMany"}])
def test_other_pods_run_where_they_like(make, cache):
    result = rendered(make, HF, cache=cache)
    for workload in filter(None, (result.fetch, of_kind(result.manifests, "Deployment"))):
        assert "affinity" not in pod_of(workload)
        assert "tailrace.dev/cache" not in workload["spec"]["template"]["metadata"]["labels"]


def test_workers_of_one_node_leave_it_together(make):
    """One by one they would block a drain: no successor serves elsewhere while one of them holds the volume."""
    budgets = [
        of_kind(rendered(make, HF, cache=cache).manifests, "PodDisruptionBudget")
        for cache in (ONE_NODE, {"size": "1Gi"})
    ]
    assert [budget["spec"]["maxUnavailable"] for budget in budgets] == ["100%", 1]


def test_the_longest_name_makes_valid_children(make):
    result = rendered(make, HF, cache={"size": "1Gi"}, name="n" * 40, metadata={"namespace": "s" * 63})
    for manifest in (*result.manifests, *result.prepare, result.fetch):
        assert len(manifest["metadata"]["name"]) <= 63
        assert all(len(value) <= 63 for value in manifest["metadata"]["labels"].values())


def test_no_two_models_can_have_the_same_child(make):
    names = ["a", "a-worker", "a-fetch", "a-cache", "tailrace-workers-default"]
    results = [rendered(make, HF, cache={"size": "1Gi"}, name=name) for name in names]
    children = [
        (m["kind"], m["metadata"]["name"]) for one in results for m in (*one.manifests, *one.prepare, one.fetch)
    ]

    assert len(children) == len(set(children))
