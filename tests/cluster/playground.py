"""`make cluster`: a cluster of two nodes for a person to play with, Tailrace installed and a model serving streams."""

import argparse
import sys
from pathlib import Path

from harness import images, launch
from harness.cluster import TWO_NODES, Cluster
from harness.errors import HarnessError
from harness.sandbox import stop_detached
from installation import VALUES, simulated
from releases import Release, nats_archive
from tailrace_images import SMALL, archive

SYSTEM, MODELS, MODEL = "tailrace-system", "default", "simulated"
TRY = """
{model} serves in namespace {models}, with simulated workers. In this shell:

  export KUBECONFIG={kubeconfig}
  export PATH={kubectl}:$PATH

  kubectl get sm,sg,pods -o wide
  curl -sN http://{address}/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{{"model":"{model}","stream":true,"max_tokens":300,"messages":[{{"role":"user","content":"Hello"}}]}}'

While it streams, in a second shell:

  kubectl delete pod -l app.kubernetes.io/name=tailrace-worker    # the sentence goes on
  kubectl drain node-1 --ignore-daemonsets --delete-emptydir-data
  kubectl -n {system} delete pod -l app.kubernetes.io/component=operator
  kubectl edit sm {model}                                       # tokensPerSecond: the workers are replaced
  kubectl describe sm {model}                                   # conditions and events

End it: make cluster-down
"""
LEFT = """
the cluster runs on, for you to see why:

  export KUBECONFIG={kubeconfig}
  export PATH={kubectl}:$PATH

  kubectl -n {system} describe pods

End it: make cluster-down"""


def up() -> None:
    """Start the cluster, install the chart, apply a model, say what to try; what failed stays, to be looked at."""
    say("building images: operator, gateway, fetcher, worker (minutes, the first time)")
    archives = node_images()
    say("starting two nodes")
    cluster = launch.start(TWO_NODES, detached=True, archives=archives)
    try:
        install(cluster)
    except BaseException as error:
        error.add_note(LEFT.format(kubeconfig=cluster.kubeconfig, kubectl=cluster.kubectl_path.parent, system=SYSTEM))
        raise
    print(TRY.format(**names(cluster)))


def node_images() -> list[Path]:
    return [images.base(), nats_archive(), *(archive(name) for name in SMALL)]


def install(cluster: Cluster) -> None:
    """Install the chart and apply a model that serves when this returns."""
    say("installing the chart")
    cluster.kubectl("create", "namespace", SYSTEM)
    Release(cluster, SYSTEM).install(VALUES, "--wait", "--timeout=180s")
    say("applying a model")
    cluster.apply(simulated(MODEL), MODELS)
    cluster.wait_condition("streamingmodel", MODEL, MODELS, "Ready", timeout_s=120)


def names(cluster: Cluster) -> dict[str, str]:
    service = cluster.get("service", "tailrace-gateway", MODELS)
    assert service is not None
    return {
        "model": MODEL,
        "models": MODELS,
        "system": SYSTEM,
        "kubeconfig": str(cluster.kubeconfig),
        "kubectl": str(cluster.kubectl_path.parent),
        "address": service["spec"]["clusterIP"],
    }


def down() -> None:
    """End the clusters that `up` started."""
    for instance in list(launch.detached()):
        stop_detached(instance)
        say(f"cluster {instance.number} ended")


def say(what: str) -> None:
    print(f"cluster: {what}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="playground", description=__doc__)
    parser.add_argument("command", choices=("up", "down"))
    try:
        {"up": up, "down": down}[parser.parse_args().command]()
    except HarnessError as error:
        print("\n".join([f"error: {error}", *getattr(error, "__notes__", [])]), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
