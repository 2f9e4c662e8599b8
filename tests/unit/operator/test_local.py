"""The local executor's decisions: mounts, programs, restarts, reports, logs, what a cluster would do more."""

import json
import socket
import sys
from pathlib import Path

import pytest
from tailrace_operator.local.beyond import beyond_local
from tailrace_operator.local.lock import AlreadyRunningError, sole_run
from tailrace_operator.local.mounts import Mounts
from tailrace_operator.local.options import LocalOptions
from tailrace_operator.local.ports import PortTakenError, check_free
from tailrace_operator.local.preflight import PreflightError, check
from tailrace_operator.local.programs import programs
from tailrace_operator.local.reports import WorkerBoard
from tailrace_operator.local.supervisor import after, ended, restart_delay_s
from tailrace_operator.local.troubles import LogWatch
from tailrace_operator.local.welcome import welcome
from tailrace_operator.resources.files import Loaded
from tailrace_protocol.reports import WorkerReport
from tailrace_protocol.subjects import ModelKey


@pytest.fixture
def options(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return LocalOptions(state_dir=tmp_path, port=probe.getsockname()[1], worker_python=tmp_path / "python")


def test_paths_below_a_mount_are_moved_and_others_are_not():
    mounts = Mounts({"/etc/tailrace": Path("/run/a"), "/models/m": Path("/state/m")})

    assert mounts.rewritten({"a": ["/etc/tailrace/worker.json", "/models/m", 7], "b": "/models/mm"}) == {
        "a": ["/run/a/worker.json", "/state/m", 7],
        "b": "/models/mm",
    }
    assert mounts.rewritten("see /etc/tailrace") == "see /etc/tailrace"
    assert mounts.rewritten("adapter=/models/m/a") == "adapter=/state/m/a"
    assert mounts.rewritten("a=b") == "a=b"


def test_a_worker_runs_the_rendered_command_on_this_machines_files(make, options):
    model = make.model(replicas=2, env=[{"name": "OMP_NUM_THREADS", "value": "1"}], **make.vllm())
    _, (first, second) = programs([model], options, "nats://127.0.0.1:1")

    assert (first.name, second.name) == ("echo-worker-1", "echo-worker-2")
    python, *rest = first.command
    assert (python, rest[:3]) == (str(options.worker_python), ["-m", "tailrace_worker", "--settings"])
    settings = json.loads(Path(rest[3]).read_text())
    assert settings["nats"]["servers"] == ["nats://127.0.0.1:1"]
    assert settings["nats"]["password_file"] == str(options.state_dir / "secrets" / "worker")
    assert settings["vllm"]["args"][:2] == ["--model", str(options.state_dir / "models" / "m")]
    assert first.env.items() >= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}.items()
    assert first.stop_within_s == 45


def test_a_chat_template_is_written_as_it_is(make, options):
    _, (worker,) = programs([make.model(**make.vllm(chatTemplate={"inline": "{% x %}"}))], options, "nats://x")
    settings = json.loads(Path(worker.command[4]).read_text())
    file = settings["vllm"]["args"][settings["vllm"]["args"].index("--chat-template") + 1]

    assert Path(file).read_text() == "{% x %}"


def test_variables_from_elsewhere_are_left_out(make, options):
    pod = {
        "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    }
    _, (worker,) = programs([make.model(pod=pod)], options, "nats://x")

    assert (worker.env.get("A"), worker.env.get("B")) == ("1", None)


def test_a_gateway_of_the_files_is_run_as_one_machine_can(make, options):
    edge = make.gateway("edge", replicas=5, heartbeat="5s", limits={"maxBodyBytes": "1Mi"})
    (gateway,), _ = programs([make.model(gateway={"name": "edge"})], options, "nats://x", [edge])
    settings = json.loads(Path(gateway.command[-1]).read_text())

    assert gateway.name == "tailrace-gateway-edge-1"
    assert (settings["gateway"], settings["heartbeat_s"], settings["max_body_bytes"]) == ("edge", 5.0, 2**20)
    assert settings.get("drain_s", 0) == 0


def test_one_gateway_serves_all_models_of_a_run(make, options):
    one, two = make.model(gateway={"name": "edge"}), make.model("other")
    with pytest.raises(PreflightError, match="one run has one gateway, not default and edge: name the same one"):
        check(Loaded([one, two], [make.gateway("edge")]), options)
    with pytest.raises(PreflightError, match="no StreamingGateway edge in these files: add it, or name default"):
        check(Loaded([one], []), options)
    check(Loaded([one], [make.gateway("edge")]), options)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"source": {"pvc": {"claimName": "c"}}}, "spec.model.source: only path and hf can be run on this machine"),
        ({"source": {"s3": {"bucket": "bbb"}}}, "spec.model.source: only path and hf can be run on this machine"),
        (
            {"source": {"hf": {"repo": "o/n"}}, "chatTemplate": {"path": "x.jinja"}},
            "spec.engine.vllm.chatTemplate.path: vLLM itself downloads the model here, who knows where",
        ),
        (
            {"lora": {"adapters": [{"name": "a", "source": {"hf": {"repo": "o/a", "revision": "1"}}}]}},
            r"spec.engine.vllm.lora.adapters\[0\].source: adapters of a revision can only be run on a cluster",
        ),
    ],
)
def test_what_this_machine_cannot_read_is_said_before(make, options, spec, says):
    model = {"source": spec.pop("source", {"path": "m"})}
    with pytest.raises(PreflightError, match=says):
        check(Loaded([make.model(model=model, engine={"vllm": spec})], []), options)


def test_gateways_have_ports_of_their_own_on_the_loopback(make, tmp_path):
    gateways, _ = programs([make.model()], LocalOptions(state_dir=tmp_path, port=9000, gateways=2), "nats://x")
    settings = [json.loads(Path(gateway.command[-1]).read_text()) for gateway in gateways]

    assert [gateway.name for gateway in gateways] == ["tailrace-gateway-1", "tailrace-gateway-2"]
    assert [(one["host"], one["port"]) for one in settings] == [("127.0.0.1", 9000), ("127.0.0.1", 9001)]
    assert settings[0]["nats"]["system_password_file"] == str(tmp_path / "secrets" / "advisory")
    assert gateways[0].command[0] == sys.executable


def test_simulated_workers_need_no_vllm(make, options):
    _, (worker,) = programs([make.model()], options, "nats://x")

    assert worker.command[0] == str(options.python)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({}, None),
        ({"nodeSelector": {"pool": "a"}}, "on a cluster only, not here: nodes with pool=a"),
        (
            {"pod": {"image": "x", "env": [{"name": "A", "valueFrom": {}}]}},
            "on a cluster only, not here: pod.image, pod.env A",
        ),
        (
            {"resources": {"gpu": {"count": 2}, "memory": "8Gi"}, "nodeSelector": {"pool": "a"}},
            "on a cluster only, not here: 2 nvidia.com/gpu per worker (here: CPU); nodes with pool=a; memory 8Gi each",
        ),
    ],
)
def test_what_a_cluster_would_do_is_said_in_one_line(make, spec, says):
    assert beyond_local(Loaded([make.model(**spec)], [])) == says


def test_a_cache_a_token_and_a_service_are_of_a_cluster(make):
    source = {"hf": {"repo": "o/n", "tokenSecret": {"name": "hub", "key": "k"}}}
    model = make.model(model={"source": source, "cache": {"size": "9Gi"}}, engine={"vllm": {}})
    guessing = make.vllm(speculative={"method": "draft", "draftModel": {"pvc": {"claimName": "c"}}})
    guessing = make.model("guessing", **guessing, resources={"gpu": {"count": 1}})
    said = beyond_local(Loaded([model, guessing], [make.gateway(service={"type": "LoadBalancer"})]))

    assert "a cache volume of 9Gi (here: the hub's own cache" in said
    assert "the token of Secret hub (here: your own HF_TOKEN)" in said
    assert "speculative decoding (on CPUs vLLM guesses wrong)" in said
    assert "2 gateways behind a Service of type LoadBalancer (here: GATEWAYS=)" in said
    scaled = beyond_local(Loaded([], [make.gateway(scaling={"maxReplicas": 4})]))
    assert scaled.endswith("2 to 4 gateways behind a Service of type ClusterIP (here: GATEWAYS=)")


def test_a_missing_model_directory_names_the_command_that_makes_it(make, options):
    spec = make.vllm()
    with pytest.raises(PreflightError, match=r"model\.source\.path: .*/models/m does not exist: put config\.json"):
        check(Loaded([make.model(**spec)], []), options)
    (options.model_root / "m").mkdir(parents=True)
    with pytest.raises(PreflightError, match=r"has no config\.json"):
        check(Loaded([make.model(**spec)], []), options)
    spec["model"]["source"]["path"] = "smollm2-135m-instruct"
    with pytest.raises(PreflightError, match=r"make it with `make model` \(.*python scripts/prepare_model\.py"):
        check(Loaded([make.model(**spec)], []), options)


def test_a_missing_environment_names_its_command(make, options):
    (options.model_root / "m").mkdir(parents=True)
    (options.model_root / "m" / "config.json").touch()
    with pytest.raises(PreflightError, match="make worker-env"):
        check(Loaded([make.model(**make.vllm())], []), options)
    options.worker_python.touch()
    check(Loaded([make.model(**make.vllm())], []), options)


def test_an_occupied_port_names_its_holder_and_the_remedy():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(PortTakenError) as caught:
            check_free(port)
    assert str(caught.value).startswith(f"port {port} is taken")
    assert f"PORT={port + 10}" in str(caught.value)
    if sys.platform == "linux":
        assert "by process " in str(caught.value)
    check_free(port)


def test_one_namespace_at_a_time(make, options):
    models = [make.model(metadata={"namespace": "a"}), make.model(metadata={"namespace": "b"})]
    with pytest.raises(PreflightError, match="one gateway serves one namespace, not a and b"):
        check(Loaded(models, []), options)


def test_two_runs_do_not_share_a_state_directory(tmp_path):
    with (
        sole_run(tmp_path),
        pytest.raises(AlreadyRunningError, match=r"process \d+\): stop it first"),
        sole_run(tmp_path),
    ):
        pass
    with sole_run(tmp_path):
        pass


def test_a_program_that_crashes_again_waits_longer():
    assert [restart_delay_s(crashes) for crashes in range(1, 9)] == [0, 1, 2, 4, 8, 15, 15, 15]
    assert (after(0), after(4)) == ("now", "in 4 s")
    assert (ended(-9), ended(3)) == ("was killed by signal 9", "exited with code 3")


def test_reports_become_a_line_per_transition_and_expire():
    board, key = WorkerBoard(), ModelKey("default", "echo")

    def report(state, progress=""):
        return WorkerReport(worker="w1", namespace="default", model="echo", state=state, progress=progress)

    assert board.feed(report("loading", "reading weights"), 0) == "echo worker w1 is loading: reading weights"
    assert board.feed(report("loading", "reading weights"), 1) is None
    assert board.feed(report("ready"), 2) == "echo worker w1 is ready"
    assert (board.ready(key, 3.9), board.ready(key, 4.1)) == (1, 0)
    assert board.ready(ModelKey("default", "other"), 3) == 0


def test_of_the_logs_only_trouble_is_shown(tmp_path):
    log, watch = tmp_path / "w.log", LogWatch()
    assert watch.look(log) == []
    log.write_text(
        "1 INFO tailrace.worker up\n2 WARNING tailrace.worker slow\n3 WARNING vllm.x noise\n(E) ERROR x\npart"
    )
    assert watch.look(log) == ["2 WARNING tailrace.worker slow", "(E) ERROR x"]
    with log.open("a") as file:
        file.write(" ERROR of a line\nValueError: no\n")
    assert watch.look(log) == ["part ERROR of a line", "ValueError: no"]
    with log.open("a") as file:
        file.write("ERROR theirs\n2 ERROR tailrace.x ours\n")
    assert watch.look(log, ours_only=True) == ["2 ERROR tailrace.x ours"]


def test_of_many_lines_the_last_are_shown(tmp_path):
    log = tmp_path / "w.log"
    log.write_text("".join(f"ERROR {number}\n" for number in range(9)))

    assert LogWatch().look(log) == [f"(4 earlier lines in {log})", *(f"ERROR {number}" for number in range(4, 9))]


def test_the_welcome_can_be_pasted(make):
    text = welcome([make.model("smollm2")], [8081, 8082], ".venv/bin/python")
    body = text.split("-d '")[1].split("'")[0]

    assert "curl -N http://127.0.0.1:8081/v1/chat/completions" in text
    assert json.loads(body)["model"] == "smollm2"
    program = [line[2:] for line in text.splitlines() if line.startswith("  ")][-5:]
    compile("\n".join(program), "welcome", "exec")
    assert "http://127.0.0.1:8082/v1" in text
