"""`make up` as a person meets it: it starts, answers, stops, and leaves nothing; and says what is wrong in one line."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from local_up import ROOT, SIMULATED, answer, free_port, gone, is_free, up


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_answers_and_stops_without_a_trace(tmp_path, stop):
    with up(tmp_path / "state") as running:
        running.wait_for("Ctrl-C stops everything")
        assert "[DONE]" in answer(running)
        family, temporary = running.family(), running.temporary()
        assert len(family) >= 5
        assert temporary.is_dir()

        running.process.send_signal(stop)
        assert running.process.wait(30) == 0
        assert gone(family)
        assert is_free(running.port)
        assert not temporary.exists()
        assert running.output.rstrip().endswith("stopped")


def test_a_second_start_reuses_what_the_first_left(tmp_path):
    for _ in range(2):
        with up(tmp_path / "state") as running:
            running.wait_for("Ctrl-C stops everything")
            assert "[DONE]" in answer(running)
            running.process.terminate()
            assert running.process.wait(30) == 0


def test_a_second_signal_stops_at_once(tmp_path):
    with up(tmp_path / "state") as running:
        running.wait_for("Ctrl-C stops everything")
        family = running.family()
        for worker in running.programs("worker"):
            worker.suspend()
        running.process.terminate()
        running.wait_for("stopping:")
        running.process.terminate()

        assert running.process.wait(10) == 0
        assert gone(family)


def test_a_killed_supervisor_leaves_nothing_behind(tmp_path):
    with up(tmp_path / "state") as running:
        running.wait_for("Ctrl-C stops everything")
        family, temporary = running.family(), running.temporary()
        (temporary / "socket").touch()

        running.process.kill()
        assert gone(family)
        assert is_free(running.port)
        assert not temporary.exists()


def test_a_stop_during_the_start_is_clean(tmp_path):
    with up(tmp_path / "state") as running:
        running.wait_for("broker:")
        family = running.family()
        running.process.terminate()

        assert running.process.wait(30) == 0
        assert gone(family)
        assert "Ctrl-C stops everything" not in running.output


def test_crashed_programs_and_a_crashed_broker_come_back(tmp_path):
    with up(tmp_path / "state") as running:
        running.wait_for("Ctrl-C stops everything")
        for name, part in (("simulated-worker-", "worker"), ("tailrace-gateway-1", "gateway"), ("nats-server", "nats")):
            running.programs(part)[0].kill()
            running.wait_for_match(rf"{name}\d? was killed by signal 9; starting it again")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                assert "[DONE]" in answer(running)
                break
            except OSError:
                time.sleep(0.2)
        else:
            pytest.fail(running.output)
        assert running.output.count("starting it again") == 3


def test_two_gateways_serve_on_neighbouring_ports(tmp_path):
    with up(tmp_path / "state", "--gateways", "2") as running:
        running.wait_for("Ctrl-C stops everything")
        assert "[DONE]" in answer(running)
        assert "[DONE]" in answer(running, gateway=1)
        running.process.terminate()
        assert running.process.wait(30) == 0


def run(*arguments: str, cwd: Path = ROOT) -> tuple[int, str]:
    command = [sys.executable, "-m", "tailrace_operator.local", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, cwd=cwd)
    return done.returncode, done.stdout + done.stderr


def test_an_occupied_port_is_one_clear_error(tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        code, said = run("up", str(SIMULATED), "--port", str(port), "--state", str(tmp_path))

    assert code == 2
    assert re.fullmatch(
        rf"error: port {port} is taken.*: stop what uses it, or choose another one, like PORT=\d+\n", said
    )
    assert str(os.getpid()) in said


def test_a_wrong_file_is_one_clear_error(tmp_path):
    file = tmp_path / "model.yaml"
    file.write_text(SIMULATED.read_text().replace("maxWaiting", "maxWaitng"))

    for command in ("up", "needs"):
        code, said = run(command, str(file), "--port", str(free_port()))
        assert code == 2
        assert re.fullmatch(
            r"error: .*model\.yaml:\d+: spec\.queue\.maxWaitng: is no known field; did you mean maxWaiting\?\n", said
        )


def test_a_missing_model_directory_is_one_clear_error(tmp_path):
    file = ROOT / "examples" / "smollm2.yaml"
    code, said = run("up", str(file), "--port", str(free_port()), "--state", str(tmp_path))

    assert code == 2
    assert re.fullmatch(
        r"error: smollm2: spec\.model\.source\.path: .* does not exist: make it with `make model`.*\n", said
    )


def test_two_runs_from_one_directory_are_one_clear_error(tmp_path):
    with up(tmp_path / "state") as running:
        running.wait_for("broker:")
        code, said = run("up", str(SIMULATED), "--port", str(free_port()), "--state", str(tmp_path / "state"))

    assert code == 2
    assert re.fullmatch(
        rf"error: Tailrace already runs from .* \(process {running.process.pid}\): stop it first\n", said
    )


@pytest.mark.parametrize(("file", "needs"), [("smollm2.yaml", "vllm"), ("simulated.yaml", "nothing")])
def test_what_must_be_installed_is_known_before(file, needs):
    assert run("needs", str(ROOT / "examples" / file), "--port", str(free_port())) == (0, f"{needs}\n")
