"""What every pod of ours is allowed, asked and given: security, probes, grace, shared memory, budgets."""

import pytest
from manifests import container, environment, mounts, of_kind, pod_of, volumes
from tailrace_operator.render import RenderSettings, render, render_gateway

SETTINGS = RenderSettings()
CACHED = {"model": {"source": {"hf": {"repo": "o/n"}}, "cache": {"size": "1Gi"}}, "engine": {"vllm": {}}}
FETCHED = {"model": {"source": {"hf": {"repo": "o/n"}}}, "engine": {"vllm": {}}}


def deployment(make, settings=SETTINGS, **spec):
    return of_kind(render(make.model(**spec), settings).manifests, "Deployment")


def workloads(make, settings=SETTINGS):
    return {
        "simulated": deployment(make, settings),
        "fetched": deployment(make, settings, **FETCHED),
        "job": render(make.model(**CACHED), settings).fetch,
        "gateway": of_kind(render_gateway(make.gateway(), [], settings), "Deployment"),
    }


@pytest.mark.parametrize("kind", ["simulated", "fetched", "job", "gateway"])
def test_every_pod_is_restricted(make, kind):
    pod = pod_of(workloads(make)[kind])
    security = pod["securityContext"]

    assert (security["runAsNonRoot"], security["runAsUser"], security["fsGroup"]) == (True, 65532, 65532)
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    for one in (*pod["containers"], *pod.get("initContainers", [])):
        context = one["securityContext"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]) == (False, True)
        assert "/tmp" in mounts(one)
        if kind != "gateway":
            assert environment(one)["HOME"] == "/tmp"


@pytest.mark.parametrize("kind", ["simulated", "fetched", "job", "gateway"])
def test_images_are_pulled_as_the_installation_says(make, kind):
    settings = RenderSettings(image_pull_policy="Never", image_pull_secrets=("a", "b"))
    pod = pod_of(workloads(make, settings)[kind])

    assert pod["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]
    assert {one["imagePullPolicy"] for one in (*pod["containers"], *pod.get("initContainers", []))} == {"Never"}
    assert "imagePullSecrets" not in pod_of(workloads(make)[kind])


def test_processes_of_one_machine_keep_their_home_and_serve_no_probes(make):
    main = container(deployment(make, RenderSettings(local=True, worker_http_port=0)))

    assert "HOME" not in environment(main)
    assert not main.keys() & {"ports", "startupProbe", "livenessProbe", "readinessProbe"}


def test_a_loading_worker_is_left_alone_until_its_deadline(make):
    made = deployment(make, startup={"deadline": "45m"})
    probe = container(made)["startupProbe"]

    assert probe["httpGet"] == {"path": "/startupz", "port": "metrics"}
    assert probe["periodSeconds"] * probe["failureThreshold"] == 45 * 60
    assert made["spec"]["progressDeadlineSeconds"] == 45 * 60 + 300


def test_a_worker_that_downloads_its_model_first_is_not_stalled_meanwhile(make):
    assert deployment(make, **FETCHED)["spec"]["progressDeadlineSeconds"] == 30 * 60 + 300 + 3600
    assert deployment(make, **CACHED)["spec"]["progressDeadlineSeconds"] == 30 * 60 + 300


def test_a_worker_is_asked_whether_it_lives_and_serves(make):
    main = container(deployment(make))

    assert main["ports"] == [{"name": "metrics", "containerPort": 9090}]
    assert main["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "metrics"}
    assert main["livenessProbe"]["periodSeconds"] * main["livenessProbe"]["failureThreshold"] == 60
    assert main["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}


def test_a_worker_that_stops_has_time_to_drain(make):
    assert pod_of(deployment(make, drain={"deadline": "2m"}))["terminationGracePeriodSeconds"] == 135


def test_workers_are_replaced_as_the_model_says_and_drained_one_by_one(make):
    result = render(make.model(rollout={"maxSurge": 0, "maxUnavailable": 1}), SETTINGS).manifests
    made, budget = of_kind(result, "Deployment"), of_kind(result, "PodDisruptionBudget")

    assert made["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert deployment(make)["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert (budget["spec"]["maxUnavailable"], budget["spec"]["selector"]) == (1, made["spec"]["selector"])


def test_pods_that_never_served_hold_up_no_node(make):
    for children in (render(make.model(), SETTINGS).manifests, render_gateway(make.gateway(), [], SETTINGS)):
        assert of_kind(children, "PodDisruptionBudget")["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@pytest.mark.parametrize(
    ("spec", "size"),
    [
        ({}, "1Gi"),
        ({"resources": {"gpu": {"count": 1}}}, None),
        ({"engine": {"vllm": {"tensorParallelSize": 2}}}, "2Gi"),
        ({"engine": {"vllm": {"tensorParallelSize": 4, "pipelineParallelSize": 2}}}, "8Gi"),
        ({"resources": {"shmSize": "512Mi"}}, "512Mi"),
        ({"engine": {"vllm": {"tensorParallelSize": 4}}, "resources": {"shmSize": "16Gi"}}, "16Gi"),
    ],
)
def test_processes_that_share_a_model_have_shared_memory(make, spec, size):
    made = deployment(make, **(make.vllm() | spec))
    volume = volumes(made).get("tailrace-shm")

    assert (volume["emptyDir"] if volume else None) == ({"medium": "Memory", "sizeLimit": size} if size else None)
    assert ("/dev/shm" in mounts(container(made))) is (size is not None)


def test_a_gpu_profile_reaches_the_pod(make):
    gpu = {
        "count": 2,
        "resourceName": "amd.com/gpu",
        "nodeSelector": {"gpu": "mi300"},
        "tolerations": [{"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "runtimeClassName": "amd",
    }
    spec = {"resources": {"gpu": gpu, "cpu": "0.5", "memory": "8192Mi"}, "nodeSelector": {"pool": "a"}}
    made = deployment(make, **(make.vllm() | spec))
    pod = pod_of(made)

    assert pod["nodeSelector"] == {"pool": "a", "gpu": "mi300"}
    assert pod["tolerations"] == gpu["tolerations"]
    assert pod["runtimeClassName"] == "amd"
    assert container(made)["image"] == SETTINGS.worker_image
    assert container(made)["resources"] == {
        "requests": {"cpu": "500m", "memory": "8Gi", "amd.com/gpu": "2"},
        "limits": {"memory": "8Gi", "amd.com/gpu": "2"},
    }


def test_an_inline_chat_template_is_a_file_of_the_pod(make):
    spec = make.vllm(chatTemplate={"inline": "{{ messages }}"})
    config = of_kind(render(make.model(**spec), SETTINGS).manifests, "ConfigMap")

    assert config["data"]["chat-template.jinja"] == "{{ messages }}"


def test_variables_of_the_user_win(make):
    spec = make.vllm() | {"env": [{"name": "HF_HUB_OFFLINE", "value": "0"}, {"name": "A", "value": "b"}]}
    given = environment(container(deployment(make, **spec)))

    assert (given["HF_HUB_OFFLINE"], given["A"], given["HOME"]) == ("0", "b", "/tmp")
