"""A worker on another machine brings its own device: over ssh to this machine, by a server of the test's own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_thor.engines.ports import free_port
from tests.plugin.project import MATRIX, STUB, Project

PROGRAMS = {name: shutil.which(name, path=f"{os.defpath}:/usr/sbin:/usr/local/sbin") for name in ("sshd", "ssh")}
CPUS = sorted(os.sched_getaffinity(0))
LEFT, RIGHT = (f"left=cpus:{CPUS[0]}", f"right=cpus:{CPUS[-1]}")
pytestmark = [
    pytest.mark.skipif(None in PROGRAMS.values(), reason="needs OpenSSH's server and client (Debian: openssh-server)"),
    pytest.mark.skipif(len(CPUS) < 2, reason="two CPU sets need two CPUs that this process may run on"),
]
ENGINE = """\
#!{python}
import os, sys, time
from pathlib import Path

if "-o" in sys.argv:  # a launch waits until both sides have begun one
    Path({meeting!r}, f"on-{{min(os.sched_getaffinity(0))}}").touch()
    give_up = time.monotonic() + 60
    while len(list(Path({meeting!r}).iterdir())) < 2:
        if time.monotonic() > give_up:
            sys.exit("stub: error: nobody measured on the other side")
        time.sleep(0.01)
os.execv(sys.executable, [sys.executable, {stub!r}, *sys.argv[1:]])
"""


@dataclass(frozen=True)
class Elsewhere:
    """Another machine, as far as ssh and a folder can tell: a checkout of the project, and how to reach it."""

    root: Path
    ssh_config: Path

    def spec(self, **variables: str) -> str:
        told = {"THOR_LOCK_DIR": os.environ["THOR_LOCK_DIR"], **variables}
        return "//".join(
            [
                "ssh=elsewhere",
                f"ssh_config={self.ssh_config}",
                f"python={sys.executable}",
                f"chdir={self.root}",
                *(f"env:{name}={value}" for name, value in told.items()),
            ]
        )


def _answers(port: int, server: subprocess.Popen[bytes]) -> bool:
    give_up = time.monotonic() + 30
    while server.poll() is None and time.monotonic() < give_up:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.02)
    return False


@pytest.fixture
def elsewhere(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    here = tmp_path_factory.mktemp("ssh")
    assert PROGRAMS["sshd"] is not None
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(here / name)], check=True)
    port = free_port("127.0.0.1")
    shutil.copy(here / "user.pub", here / "authorized")
    (here / "known").write_text(f"[127.0.0.1]:{port} {(here / 'host.pub').read_text()}")
    (here / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {here}/host\nAuthorizedKeysFile {here}/authorized\n"
        "PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    (here / "ssh_config").write_text(
        f"Host elsewhere\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n  IdentityFile {here}/user\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {here}/known\n  BatchMode yes\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where root's server drops its privileges
    root = here / "checkout"
    shutil.copytree(project.root, root)
    command = [PROGRAMS["sshd"], "-D", "-e", "-f", str(here / "sshd_config")]
    with (here / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as server:
        try:
            if not _answers(port, server):
                told = f"sshd does not start here: {(here / 'log').read_text().strip()}"
                pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)
            yield Elsewhere(root=root, ssh_config=here / "ssh_config")
        finally:
            server.terminate()


def run(project: Project, *arguments: str) -> pytest.RunResult:
    return project.pytester.runpytest_subprocess(*project.arguments, *arguments, timeout=120)


def test_a_worker_over_ssh_brings_its_device_and_takes_its_share(project: Project, elsewhere: Elsewhere) -> None:
    meeting = elsewhere.ssh_config.with_name("meeting")
    meeting.mkdir()
    project.engine.write_text(ENGINE.format(python=sys.executable, meeting=str(meeting), stub=str(STUB)))
    two_models = MATRIX.replace("  tiny:\n", "  twin: {gguf: tiny/tiny-F16.gguf, quants: [F16]}\n  tiny:\n")
    for root in (project.root, elsewhere.root):
        (root / "matrices" / "small.yaml").write_text(two_models)

    spec = elsewhere.spec(THOR_DEVICE=RIGHT)
    result = run(project, "--thor-device", LEFT, "--tx", "popen", "--tx", spec, "-d", "--thor-update-baseline")

    result.assert_outcomes(passed=6)
    devices = {cell["device"]: set[str]() for cell in project.report["cells"]}
    for cell in project.report["cells"]:
        devices[cell["device"]].add(cell["model"])
    assert devices in ({"left": {"tiny"}, "right": {"twin"}}, {"left": {"twin"}, "right": {"tiny"}})
    assert {entry["device"] for entry in project.journal} == {"left"}
    assert '"device":"right"' in (elsewhere.root / "thor-report" / "journal.jsonl").read_text()
    assert project.report["environment"]["device"] == "left, right"
    assert sorted(folder.name for folder in (project.root / "baselines").glob("[!.]*")) == ["left", "right"]


def test_a_machine_reached_twice_is_one_device(project: Project, elsewhere: Elsewhere) -> None:
    result = run(project, "--tx", "popen", "--tx", elsewhere.spec(), "-d")

    result.assert_outcomes(passed=3)
    assert len({cell["device"] for cell in project.report["cells"]}) == 1
    assert len(project.journal) == 9
    assert not (elsewhere.root / "thor-report").exists()


def test_a_device_that_is_not_there_is_told_with_the_worker(project: Project, elsewhere: Elsewhere) -> None:
    result = run(project, "--tx", elsewhere.spec(THOR_DEVICE="cpus:9999"), "-d")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --tx *ssh=elsewhere*: cpus:9999: there is no CPU 9999; this process may run on *"]
    )


def test_a_machine_without_pytest_thor_is_told(
    project: Project, elsewhere: Elsewhere, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bare = tmp_path_factory.mktemp("bare")
    venv.create(bare, symlinks=True)
    spec = elsewhere.spec().replace(f"python={sys.executable}", f"python={bare}/bin/python")

    result = run(project, "--tx", spec, "-d")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --tx *: pytest-thor does not answer there: *No module named*pytest_thor*; *"])
