"""What docs/install.md shows works: its values are accepted, its NATS accounts are those that the operator makes."""

import json
import re
import shlex
import subprocess

import pytest
import yaml
from tailrace_operator.render.accounts import nats_accounts

from .helm import CASES, CHART, ROOT
from .test_nats import nats_server

PAGE = (ROOT / "docs" / "install.md").read_text()
VALUES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
ACCOUNTS = "".join(re.findall(r"```nats\n(.*?)```", PAGE, re.DOTALL))
PASSWORDS = {
    name: f"change-me-{number}" for number, name in enumerate(("operator", "gateway", "worker", "advisory"), 1)
}


@pytest.mark.parametrize("text", VALUES, ids=lambda text: text.split(":")[0])
def test_the_values_that_the_page_shows_are_accepted(helm, text):
    assert helm.template(yaml.safe_load(text)).one("Deployment")


def effective(config, folder):
    """nats-server's own reading of a configuration: a digest that does not depend on how it is written."""
    (folder / "nats.conf").write_text(f"jetstream {{ store_dir: {folder} }}\n{config}")
    done = subprocess.run(
        [nats_server(), "-t", "-c", folder / "nats.conf"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = re.search(r"sha256:(\w+)", done.stderr)
    assert found is not None
    return found[1]


def test_the_accounts_that_the_page_shows_are_those_that_the_operator_makes(tmp_path):
    shown = effective(ACCOUNTS, tmp_path)
    assert shown == effective(json.dumps(nats_accounts(PASSWORDS, "TAILRACE"))[1:-1], tmp_path)
    assert shown != effective(ACCOUNTS.replace("MSG.DELETE", "DELETE"), tmp_path)


def test_the_page_names_every_key_of_the_secret():
    for name in (*PASSWORDS, "routes", "auth.conf"):
        assert f"`{name}`" in PAGE


def test_the_page_prints_every_role_of_the_operator_for_whoever_may_make_them(helm):
    [line] = re.findall(r"^\$ (helm template .*?)\n```", PAGE, re.MULTILINE | re.DOTALL)
    for case in CASES:
        named = {"charts/tailrace": str(CHART), "values.yaml": str(case)}
        words = [named.get(word, word) for word in shlex.split(line.replace("\\\n", ""))]
        printed = [item for item in yaml.safe_load_all(helm.run(*words[1:])) if item]
        wanted = helm.template({"rbac": {"create": True}}, files=(case,))
        assert printed == [item for item in wanted if "rbac" in item["apiVersion"] and not of_people(item)]


def of_people(item):
    return item["metadata"]["labels"]["app.kubernetes.io/component"] == "people"


@pytest.mark.parametrize("page", ["install.md", "upgrade.md", "sizing.md"])
def test_every_link_leads_somewhere(page):
    text = (ROOT / "docs" / page).read_text()
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (ROOT / "docs" / target).exists(), target
    readme = (CHART / "README.md").read_text()
    for target in re.findall(r"\]\((\.\./[^)#]+)\)", readme):
        assert (CHART / target).exists(), target
