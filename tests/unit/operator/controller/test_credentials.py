"""The broker's passwords: made once, shared as far as needed, and read by the real nats-server."""

import base64
import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tailrace_operator.apply.kubernetes import ChangedError, RefusedError
from tailrace_operator.controller.credentials import ROLES, Credentials, CredentialsError
from tailrace_operator.controller.settings import Nats
from tailrace_operator.local.broker import nats_server
from tailrace_operator.local.credentials import Credentials as LocalCredentials
from tailrace_operator.local.nats_config import nats_config
from tailrace_operator.plan import Ref

from .fake_api import FakeApi
from .objects import gateway

AUTH = Ref("v1", "Secret", "tailrace-system", "tailrace-nats-auth")
WHERE = "Secret tailrace-nats-auth in namespace tailrace-system"


def secret(**passwords: str) -> dict[str, Any]:
    data = {role: base64.b64encode(password.encode()).decode() for role, password in passwords.items()}
    metadata = {"name": "tailrace-nats-auth", "namespace": "tailrace-system"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


ALL = secret(operator="o-word", gateway="g-word", worker="w-word\n", advisory="a-word", routes="r-word")


Made = Callable[..., Credentials]


@pytest.fixture
def credentials() -> Iterator[Made]:
    with contextlib.ExitStack() as closing:

        def make(api: FakeApi, **nats: Any) -> Credentials:
            made = Credentials(api, "tailrace-system", Nats(servers=["nats://nats:4222"], **nats))
            closing.callback(made.close)
            return made

        yield make


def content(file: str) -> str:
    return Path(file).read_text()


def modes(file: str) -> list[int]:
    """The permissions of a file and of its directory."""
    return [path.stat().st_mode & 0o777 for path in (Path(file), Path(file).parent) if path.exists()]


def decoded(manifest: dict[str, Any]) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in manifest["data"].items()}


async def test_the_secret_is_made_once_with_a_password_of_its_own_for_each_user(credentials: Made) -> None:
    api = FakeApi()
    await credentials(api).ensure()
    made = decoded(api.objects[AUTH])
    assert made.keys() == {*ROLES, "auth.conf"}
    assert len({made[role] for role in ROLES}) == len(ROLES)
    assert all(len(made[role]) == 32 for role in ROLES), "24 random bytes"
    await credentials(api).ensure()
    assert decoded(api.objects[AUTH]) == made
    assert api.written == [f"create {AUTH}"]


async def test_one_that_another_operator_made_at_the_same_moment_stands(credentials: Made) -> None:
    api = FakeApi()
    api.refuse("create", AUTH, ChangedError("exists"))
    await credentials(api).ensure()


async def test_a_secret_that_is_not_ours_to_make_is_only_read(credentials: Made) -> None:
    api = FakeApi()
    with pytest.raises(CredentialsError, match=f"there is no {WHERE}: make it, with the keys operator, gateway"):
        await credentials(api, create_credentials=False).for_operator()
    assert api.written == []


async def test_a_refusal_to_make_it_is_told(credentials: Made) -> None:
    api = FakeApi()
    api.refuse("create", AUTH, RefusedError("forbidden"))
    with pytest.raises(RefusedError):
        await credentials(api).for_operator()


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        (secret(), "operator"),
        ({**secret(), "data": None}, "operator"),
        (secret(operator=""), "operator"),
    ],
)
async def test_a_key_that_the_operator_needs_is_named(credentials: Made, present: dict[str, Any], missing: str) -> None:
    with pytest.raises(CredentialsError, match=f"{WHERE} lacks the keys {missing}: add the users' passwords"):
        await credentials(FakeApi(present)).for_operator()


async def test_all_keys_that_pods_need_and_that_are_missing_are_named(credentials: Made) -> None:
    api = FakeApi(secret(operator="x", worker="y"))
    with pytest.raises(CredentialsError, match="lacks the keys gateway, advisory:"):
        await credentials(api).for_namespace("team-a", "tailrace-nats", [])
    with pytest.raises(CredentialsError, match="lacks the keys gateway:"):
        await credentials(api, advisories=False).for_namespace("team-a", "tailrace-nats", [])


async def test_the_operator_reads_its_password_from_a_file_that_nobody_else_can(credentials: Made) -> None:
    kept = credentials(FakeApi(ALL))
    settings = await kept.for_operator()
    assert (settings.user, settings.servers) == ("operator", ["nats://nats:4222"])
    assert content(settings.password_file) == "o-word"
    assert modes(settings.password_file) == [0o600, 0o700]
    kept.close()
    assert not modes(settings.password_file)


async def test_a_changed_password_is_read_anew(credentials: Made) -> None:
    api = FakeApi(ALL)
    kept = credentials(api)
    await kept.for_operator()
    api.objects[AUTH]["data"] |= secret(operator="new-word")["data"]
    assert content((await kept.for_operator()).password_file) == "new-word"


@pytest.mark.parametrize(
    ("advisories", "shared"), [(True, {"gateway", "worker", "advisory"}), (False, {"gateway", "worker"})]
)
async def test_the_shared_secret_holds_what_pods_need_and_never_the_operators_password(
    credentials: Made, advisories: bool, shared: set[str]
) -> None:
    api = FakeApi(ALL)
    made = await credentials(api, advisories=advisories).for_namespace(
        "team-a", "tailrace-nats", [gateway(), gateway("b")]
    )
    assert decoded(made).keys() == shared
    assert decoded(made)["worker"] == "w-word", "what an editor added at the end is no part of it"
    assert "o-word" not in "".join(decoded(made).values())
    assert made["metadata"]["namespace"] == "team-a"
    assert [owner["uid"] for owner in made["metadata"]["ownerReferences"]] == ["uid-default", "uid-b"]


def accepted(config: Path) -> None:
    ran = subprocess.run([nats_server(), "-t", "-c", str(config)], capture_output=True, text=True, timeout=20)
    assert ran.returncode == 0, ran.stderr


async def test_the_real_server_accepts_the_accounts_as_a_file_that_it_includes(
    credentials: Made, tmp_path: Path
) -> None:
    api = FakeApi()
    await credentials(api, account="OURS").ensure()
    made = decoded(api.objects[AUTH])
    (tmp_path / "auth.conf").write_text(made["auth.conf"])
    config = tmp_path / "nats.conf"
    config.write_text(f"port: 4222\ninclude ./auth.conf\njetstream {{ store_dir: {tmp_path / 'data'} }}\n")
    accepted(config)
    auth = json.loads("{" + made["auth.conf"] + "}")
    assert auth["accounts"].keys() == {"OURS", "SYS"}
    users = {user["user"]: user["password"] for account in auth["accounts"].values() for user in account["users"]}
    assert users == {role: made[role] for role in ("operator", "gateway", "worker", "advisory")}


def test_the_real_server_accepts_the_local_configuration_with_the_same_accounts(tmp_path: Path) -> None:
    config = tmp_path / "nats.conf"
    config.write_text(nats_config(4222, tmp_path / "data", LocalCredentials(tmp_path / "secrets")))
    accepted(config)
    assert json.loads(config.read_text())["accounts"].keys() == {"TAILRACE", "SYS"}


async def test_every_user_but_the_operator_has_a_list_of_what_it_may_do(credentials: Made) -> None:
    """What is on the lists, the integration tests try on a real server."""
    api = FakeApi()
    await credentials(api).ensure()
    accounts = json.loads("{" + decoded(api.objects[AUTH])["auth.conf"] + "}")["accounts"]
    rights = {user["user"]: user.get("permissions") for user in accounts["TAILRACE"]["users"]}
    assert rights["operator"] is None
    for user in ("gateway", "worker"):
        assert {act: rules.keys() for act, rules in rights[user].items()} == {
            "publish": {"allow"},
            "subscribe": {"allow"},
        }
        assert not {">", "$JS.>", "$JS.API.>"} & {
            *rights[user]["publish"]["allow"],
            *rights[user]["subscribe"]["allow"],
        }
    (advisory,) = accounts["SYS"]["users"]
    assert advisory["permissions"] == {
        "publish": {"deny": [">"]},
        "subscribe": {"allow": ["$SYS.ACCOUNT.TAILRACE.DISCONNECT", "_INBOX.>"]},
    }
