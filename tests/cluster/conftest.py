"""Real clusters for the tests: `api` (an API server), `node` (one full node) and `cluster` (two nodes).

Each is started when the first test asks for it and ended with the session. Where this machine cannot run one, its tests
are skipped and say what to do; under CI=true they fail, because a skipped proof proves nothing. With KUBECONFIG set all
three are that cluster, except for what would break it; see `harness.external`.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import tailrace_images
from harness import external, images, launch
from harness.cluster import API, NODE, TWO_NODES, Cluster
from harness.errors import NotOursError, RefusedError, UnavailableError
from releases import nats_archive
from tailrace_images import SMALL

HERE = Path(__file__).resolve().parent
LOGS = HERE.parents[1] / ".tailrace" / "cluster-logs"
MOST_LOGS = 5
KEPT_LOGS: list[Path] = []
FIXTURES = {"api", "node", "cluster"}
TEST_TIMEOUT_S = 300
HOW = "To run them: on Linux, as root, with Go: pytest tests/cluster. Or set KUBECONFIG to a cluster of yours"


class Clusters:
    """The clusters of this session, by level."""

    def __init__(self, request: pytest.FixtureRequest, stack: ExitStack) -> None:
        self.request, self.stack = request, stack
        self.capture = request.config.pluginmanager.getplugin("capturemanager")
        self.started: dict[str, Cluster] = {}
        self.users: external.ExternalCluster | None = None

    def get(self, *levels: str) -> Cluster:
        """The first of these levels that runs already; else a new one of the first level."""
        running = next((self.started[level] for level in levels if level in self.started), None)
        if running is None:
            with self.capture.global_and_fixture_disabled():
                running = self.started[levels[0]] = self.start(levels[0])
        return running

    def start(self, level: str) -> Cluster:
        """Start a cluster of a level, or take the user's."""
        kubeconfig = os.environ.get("KUBECONFIG")
        if kubeconfig:
            return self.users_own(Path(kubeconfig), level)
        cluster = launch.start(level, archives=[] if level == API else self.images())
        self.stack.callback(cluster.stop)
        return cluster

    def users_own(self, kubeconfig: Path, level: str) -> Cluster:
        """The user's cluster, which is one for all levels; with our images where a test needs nodes."""
        if self.users is None:
            self.users = external.connect(kubeconfig)
            self.stack.callback(self.users.stop)
        if len(self.users.node_names()) < launch.NODES[level]:
            raise NotOursError(f"the cluster of KUBECONFIG has fewer nodes than the test needs: {launch.NODES[level]}")
        if level != API:
            self.users.loading_command()  # Before minutes are spent on images that nobody can load.
            for archive in self.images():
                self.users.load_image(archive)
        return self.users

    def images(self) -> list[Path]:
        return list(self.request.getfixturevalue("node_images"))


@pytest.fixture(scope="session")
def node_images() -> list[Path]:
    """Archives of the images that every node has from its start; large and lasting ones first, see `harness.stores`."""
    large = ["worker-cpu"] if os.environ.get("TAILRACE_SLOW") else []
    return [images.base(), *map(tailrace_images.archive, large), nats_archive(), *map(tailrace_images.archive, SMALL)]


@pytest.fixture(scope="session")
def clusters(request: pytest.FixtureRequest) -> Iterator[Clusters]:
    with ExitStack() as stack:
        yield Clusters(request, stack)


@pytest.fixture(scope="session")
def api(clusters: Clusters) -> Cluster:
    """etcd, an API server and the controllers; nothing runs pods."""
    return clusters.get(API)


@pytest.fixture(scope="session")
def node(clusters: Clusters) -> Cluster:
    """A cluster with at least one node."""
    return clusters.get(NODE, TWO_NODES)


@pytest.fixture(scope="session")
def cluster(clusters: Clusters) -> Cluster:
    """A cluster with two nodes."""
    return clusters.get(TWO_NODES)


@pytest.fixture
def api_namespace(api: Cluster) -> Iterator[str]:
    """A namespace of its own for a test of the API level."""
    with api.namespace(wait=False) as name:
        yield name


@pytest.fixture
def node_namespace(node: Cluster) -> Iterator[str]:
    """A namespace of its own for a test that needs a node."""
    with node.namespace() as name:
        yield name


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of its own for a test that needs two nodes."""
    with cluster.namespace() as name:
        yield name


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Time limits are for tests, not for what the first one of a machine has to build."""
    for item in items:
        if HERE in item.path.parents:
            given = item.get_closest_marker("timeout")
            limit = given.args[0] if given else TEST_TIMEOUT_S
            item.add_marker(pytest.mark.timeout(limit, func_only=True), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> object:
    """A test that cannot run here is skipped, whatever found that out; one that failed leaves its clusters' logs."""
    report = yield
    reason = why_not_here(call.excinfo.value) if call.excinfo else None
    if reason:
        report.outcome, report.longrepr = (
            "skipped",
            (str(item.path), (item.location[1] or 0) + 1, f"Skipped: {item.name}: {reason}"),
        )
    elif report.failed:
        keep_logs(item, report)
    return report


def why_not_here(error: BaseException) -> str | None:
    """Why a test is skipped that ended with this error; None when that is a failure."""
    if isinstance(error, NotOursError):
        return str(error)
    if isinstance(error, RefusedError) and os.environ.get("CI") != "true":
        return str(error)
    if isinstance(error, UnavailableError) and os.environ.get("CI") != "true":
        return f"{error}. {HOW}"
    return None


def keep_logs(item: pytest.Item, report: pytest.TestReport) -> None:
    """Keep the logs of the clusters that a failed test used, and say where; of the first few failures of a session."""
    used = [value for name, value in getattr(item, "funcargs", {}).items() if name in FIXTURES]
    if not used or len(KEPT_LOGS) >= MOST_LOGS:
        return
    folder = LOGS / (re.sub(r"[^\w-]", "-", item.name) + time.strftime("-%H%M%S"))
    KEPT_LOGS.append(folder)
    for one in used:
        one.dump_logs(folder / one.level)
    report.sections.append(("cluster logs", str(folder)))
