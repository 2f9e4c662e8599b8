"""The numbers of docs/sizing.md, found out with the real broker, the chart's own configuration and models' defaults."""

import json
import re
import socket
import subprocess
import time
from contextlib import contextmanager

import nats
import pytest
from tailrace_operator.apply.broker import BrokerRefusedError, apply_objects
from tailrace_operator.controller.settings import OperatorSettings
from tailrace_operator.local.broker import free_port
from tailrace_operator.render import render
from tailrace_operator.render.accounts import nats_accounts
from tailrace_operator.resources import StreamingModel

from .helm import ROOT
from .test_nats import PASSWORDS, config_of, container_of, environment, nats_server

PAGE = (ROOT / "docs" / "sizing.md").read_text()


@contextmanager
def running(objects, folder):
    """The release's NATS on this machine; its port."""
    port = free_port()
    config = config_of(objects).replace("port: 4222", f"listen: 127.0.0.1:{port}").replace("http_port: 8222", "")
    config = config.replace("/data", str(folder / "data")).replace("/var/run/nats", str(folder))
    (folder / "nats.conf").write_text(config)
    (folder / "auth.conf").write_text(json.dumps(nats_accounts(PASSWORDS, "TAILRACE"))[1:-1])
    command = [nats_server(), "-c", folder / "nats.conf", "-l", folder / "log"]
    with subprocess.Popen(command, env=environment(container_of(objects))) as server:
        try:
            wait_until_it_listens(port)
            yield port
        finally:
            server.terminate()


def wait_until_it_listens(port, within_s=10.0):
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nats-server does not listen after {within_s} s")


async def models_that_fit(port, storage):
    """How many models with these replay settings the broker takes before it refuses one."""
    settings = OperatorSettings().for_rendering()
    client = await nats.connect(f"nats://127.0.0.1:{port}", user="operator", password=PASSWORDS["operator"])
    try:
        for number in range(1000):
            spec = {"engine": {"simulated": {}}, "replay": {"storage": storage}}
            named = {"name": f"m{number}", "namespace": "n"}
            model = StreamingModel.parse(
                {"apiVersion": "tailrace.dev/v1alpha1", "kind": "StreamingModel", "metadata": named, "spec": spec}
            )
            try:
                await apply_objects(client.jetstream(timeout=10), render(model, settings).broker)
            except BrokerRefusedError:
                return number
    finally:
        await client.close()
    raise AssertionError("the broker refuses nothing")


@pytest.mark.parametrize("storage", ["memory", "file"])
async def test_as_many_models_fit_into_the_default_broker_as_the_page_says(helm, tmp_path, storage):
    said = re.search(rf"`replay.storage: {storage}`[^|]*\|[^|]*\| (\d+) models", PAGE)
    assert said is not None
    with running(helm.template(), tmp_path) as port:
        assert await models_that_fit(port, storage) == int(said[1])
