"""For every rule that spans fields: a document that just obeys it, and one that just breaks it."""

from crd_cases import FILE, Document, gateway, model, vllm

HF = {"hf": {"repo": "o/n"}}
PVC = {"pvc": {"claimName": "c"}}
GPU = {"resources": {"gpu": {"count": 4}}}
OURS = "are Tailrace's own"


def on_vllm(**spec: object) -> Document:
    return model(model={"source": {"path": "m"}}, engine={"vllm": {}}, **spec)


def adapter(name: str, source: object = None) -> Document:
    return vllm(lora={"adapters": [{"name": name, "source": source or {"path": "a"}}]})


def drafted(source: object) -> Document:
    return guessing(method="draft", draftModel=source)


def sized(memory: str, shared: str = "64Mi", tensor: int = 1, **offload: str) -> Document:
    resources = {"memory": memory, "shmSize": shared, "gpu": {"count": 2}}
    engine = {"vllm": {"tensorParallelSize": tensor, **offload}}
    return model(model={"source": {"path": "m"}}, engine=engine, resources=resources)


def parallel(tensor: int, pipeline: int) -> Document:
    parts = {"tensorParallelSize": tensor, "pipelineParallelSize": pipeline}
    return model(model={"source": {"path": "m"}}, engine={"vllm": parts}, **GPU)


def guessing(**speculative: object) -> Document:
    return model(model={"source": {"path": "m"}}, engine={"vllm": {"speculative": speculative}}, **GPU)


def mounted(path: str) -> Document:
    return model(pod={"volumeMounts": [{"name": "a", "mountPath": path}]})


#: Message of the rule (or its beginning), documents that obey it, documents that break it.
RULES: list[tuple[str, list[Document], list[Document]]] = [
    (
        "metadata.name must be a DNS label (a-z, 0-9 and '-') of at most 40 characters",
        [model("n" * 40), gateway("n" * 40), model("0")],
        [model("n" * 41), gateway("n" * 41), model("a.b"), gateway("a.b")],
    ),
    (
        "metadata.name must not begin with tailrace-gateway",
        [model("tailrace"), gateway("tailrace-gateway-a")],
        [model("tailrace-gateway"), model("tailrace-gateway-a")],
    ),
    (
        "minReplicas must not exceed maxReplicas",
        [model(scaling={"minReplicas": 3, "maxReplicas": 3}), gateway(scaling={"minReplicas": 3, "maxReplicas": 3})],
        [model(scaling={"minReplicas": 4, "maxReplicas": 3}), gateway(scaling={"minReplicas": 4, "maxReplicas": 3})],
    ),
    (
        "a pace needs workers or percent",
        [model(scaling={"scaleUp": {"workers": 1}, "scaleDown": {"percent": 1}})],
        [model(scaling={"scaleUp": {"period": "1m"}}), model(scaling={"scaleDown": {}})],
    ),
    ("an adapter must not be called like the model", [adapter("other")], [adapter("full")]),
    (
        "engine.vllm needs model.source; engine.simulated has no model",
        [on_vllm(), model()],
        [model(engine={"vllm": {}}), model(model={"source": {"path": "m"}})],
    ),
    ("set exactly one of vllm and simulated", [model()], [model(engine={})]),
    (
        "engine.vllm.tensorParallelSize times pipelineParallelSize must not exceed resources.gpu.count",
        [parallel(2, 2), parallel(4, 1)],
        [parallel(4, 2), parallel(1, 5)],
    ),
    (
        "engine.vllm.kvOffload, cpuOffload for each GPU and resources.shmSize must together be less than",
        [
            sized("16Gi", kvOffload="8Gi"),
            sized("16Gi", tensor=2, cpuOffload="7Gi"),
            model(resources={"memory": "1Gi", "shmSize": "512Mi"}),
            vllm(kvOffload="8Gi"),
        ],
        [
            sized("8Gi", kvOffload="8Gi"),
            sized("16Gi", tensor=2, cpuOffload="8Gi"),
            sized("16Gi", "1Gi", kvOffload="8Gi", cpuOffload="7Gi"),
            model(resources={"memory": "1Gi", "shmSize": "1Gi"}),
        ],
    ),
    (
        "engine.vllm.speculative needs resources.gpu",
        [guessing(method="ngram"), vllm()],
        [vllm(speculative={"method": "ngram"})],
    ),
    (
        "set exactly one of path, hf, pvc, s3 and http",
        [vllm(source=HF), vllm(source={"http": {"files": [FILE]}})],
        [
            vllm(source={"path": "m", **HF}),
            vllm(source={"path": "m", **HF, **PVC}),
            vllm(source={"hf": {"repo": "a"}, **PVC}),
            adapter("other", {"path": "a", **HF}),
            drafted({"path": "a", **HF}),
        ],
    ),
    (
        "path must not contain '..': name the directory itself",
        [vllm(source={"path": "a..b"})],
        [vllm(source={"path": "a/../b"}), adapter("other", {"path": ".."}), drafted({"path": "a/../b"})],
    ),
    (
        "pvc.path must not contain '..'",
        [vllm(source={"pvc": {"claimName": "c", "path": "a..b"}})],
        [
            vllm(source={"pvc": {"claimName": "c", "path": "a/.."}}),
            adapter("other", {"pvc": {"claimName": "c", "path": ".."}}),
            drafted({"pvc": {"claimName": "c", "path": ".."}}),
        ],
    ),
    (
        "cache is for sources that are downloaded (hf, s3, http)",
        [vllm(source=HF, model_block={"cache": {"size": "1Gi"}})],
        [vllm(source=PVC, model_block={"cache": {"size": "1Gi"}}), vllm(model_block={"cache": {"size": "1Gi"}})],
    ),
    (
        "sizeLimit is for downloads without cache",
        [vllm(source=HF, model_block={"sizeLimit": "1Gi"})],
        [vllm(source=HF, model_block={"sizeLimit": "1Gi", "cache": {"size": "1Gi"}})],
    ),
    (
        "extraArgs must not repeat what a typed field sets",
        [
            vllm(
                extraArgs=[
                    "--block-size=32",
                    "--structured-outputs-config.disable_any_whitespace=true",
                    "--model-impl=auto",
                    "--quantization-config={}",
                    "--speculative-config.draft_tensor_parallel_size=1",
                ]
            )
        ],
        [
            vllm(extraArgs=[argument])
            for argument in (
                *("--model", "--max_model_len=5", "-tp", "-qfp8", "--config=vllm.yaml"),
                *(
                    "--speculative-config={}",
                    "--speculative_config.method=ngram",
                    "-sc.num_speculative_tokens=3",
                    "-s.model",
                ),
                "--structured-outputs-config.backend=guidance",
            )
        ],
    ),
    (
        "set exactly one of inline and path",
        [vllm(chatTemplate={"inline": "x"}), vllm(chatTemplate={"path": "x"})],
        [vllm(chatTemplate={}), vllm(chatTemplate={"inline": "x", "path": "x"})],
    ),
    (
        "path must not contain '..': name the file itself",
        [vllm(chatTemplate={"path": "a..b"})],
        [vllm(chatTemplate={"path": "../x"})],
    ),
    (
        "method draft, eagle or eagle3 needs draftModel, and method ngram has none",
        [guessing(method="ngram"), guessing(method="eagle", draftModel=HF)],
        [guessing(method="ngram", draftModel=HF), guessing(method="eagle3")],
    ),
    (
        "ngram is for method ngram",
        [guessing(method="ngram", ngram={})],
        [guessing(method="draft", draftModel=HF, ngram={})],
    ),
    (
        "ngram.min must not exceed ngram.max",
        [guessing(method="ngram", ngram={"min": 4, "max": 4})],
        [guessing(method="ngram", ngram={"min": 5, "max": 4})],
    ),
    (
        "firstToken must not be longer than total: lower it or raise timeouts.total",
        [model(timeouts={"firstToken": "5m", "total": "5m"})],
        [model(timeouts={"firstToken": "5m1s", "total": "5m"})],
    ),
    (
        "betweenTokens must not be longer than total: lower it or raise timeouts.total",
        [model(timeouts={"betweenTokens": "5m", "total": "5m"})],
        [model(timeouts={"betweenTokens": "301s", "total": "5m"})],
    ),
    (
        "maxSurge and maxUnavailable must not both be 0",
        [model(rollout={"maxSurge": 0, "maxUnavailable": 1}), model(rollout={"maxSurge": 1})],
        [model(rollout={"maxSurge": 0}), model(rollout={"maxSurge": 0, "maxUnavailable": 0})],
    ),
    (
        "a label's key must be a name of at most 63",
        [model(pod={"labels": {"a" * 63: "b", "x.y/z": ""}})],
        [
            model(pod={"labels": {"a" * 64: "b"}}),
            gateway(pod={"labels": {"a b": "c"}}),
            model(pod={"labels": {"A/b": "c"}}),
        ],
    ),
    (
        "labels app.kubernetes.io/name, app.kubernetes.io/instance, app.kubernetes.io/managed-by and tailrace.dev/…",
        [model(pod={"labels": {"app.kubernetes.io/part-of": "x"}})],
        [
            model(pod={"labels": {"app.kubernetes.io/name": "x"}}),
            gateway(pod={"labels": {"tailrace.dev/gateway": "x"}}),
        ],
    ),
    (
        "annotations tailrace.dev/…",
        [model(pod={"annotations": {"tailrace/x": "y"}})],
        [kind(pod={"annotations": {"tailrace.dev/config": "x"}}) for kind in (model, gateway)],
    ),
    (
        "containers named worker, gateway or fetch-… are Tailrace's own: use image",
        [model(pod={"containers": [{"name": "workers"}]})],
        [model(pod={"containers": [{"name": "worker"}]}), gateway(pod={"containers": [{"name": "fetch-model"}]})],
    ),
    (
        "containers named worker, gateway or fetch-… are Tailrace's own: choose another name",
        [model(pod={"initContainers": [{"name": "prefetch-x"}]})],
        [model(pod={"initContainers": [{"name": "gateway"}]}), gateway(pod={"initContainers": [{"name": "fetch-x"}]})],
    ),
    (
        f"volumes named tailrace-… {OURS}",
        [model(pod={"volumes": [{"name": "tailrace"}]})],
        [kind(pod={"volumes": [{"name": "tailrace-tmp"}]}) for kind in (model, gateway)],
    ),
    (
        "mountPath must not be /, /tmp, /dev/shm, nor lie in",
        [mounted("/tmp/x"), mounted("/etc/tailrace-other"), mounted("/data")],
        [
            gateway(pod={"volumeMounts": [{"name": "a", "mountPath": "/"}]}),
            *(
                mounted(path)
                for path in ("/", "/tmp/", "/dev/shm", "/etc/tailrace", "/etc/tailrace-nats/x", "/models/x")
            ),
        ],
    ),
    (
        "set exactly one of value and valueFrom",
        [model(pod={"env": [{"name": "A", "value": ""}]}), gateway(pod={"env": [{"name": "A", "valueFrom": {}}]})],
        [model(pod={"env": [{"name": "A"}]}), gateway(pod={"env": [{"name": "A", "value": "", "valueFrom": {}}]})],
    ),
    (
        "loadBalancerClass is for type LoadBalancer",
        [gateway(service={"type": "LoadBalancer", "loadBalancerClass": "a/b"})],
        [
            gateway(service={"loadBalancerClass": "a/b"}),
            gateway(service={"type": "NodePort", "loadBalancerClass": "a/b"}),
        ],
    ),
    (
        "externalTrafficPolicy is for type LoadBalancer or NodePort",
        [gateway(service={"type": "NodePort", "externalTrafficPolicy": "Local"})],
        [gateway(service={"externalTrafficPolicy": "Local"})],
    ),
    (
        "memory must not exceed memoryLimit",
        [gateway(resources={"memory": "2048Mi"})],
        [gateway(resources={"memory": "2049Mi"})],
    ),
]
