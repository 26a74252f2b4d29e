"""A stage on which whole workflows run: nektos/act plays GitHub, this machine every runner.

act reads the workflow, evaluates its expressions, deals out matrix jobs, calls the reusable workflow and the composite
actions, and runs each script as a runner does. What it lacks is stood in for: the actions of others (``stand_ins/``),
``gh``, the way back to this repository (``$/…`` is written out), and pytest-thor's installation, which is that of the
tests. ``concurrency`` means nothing to it: jobs of one device run side by side, and the device's lock must part them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
ACT = shutil.which("act", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
SELF = "OWNER/pytest-thor"
COMMIT = "COMMIT"
_STAND_INS = Path(__file__).parent / "stand_ins"
_CARRIED = (".github", ".ci")
_PIN = re.compile(r"uses: (actions/(?P<name>[\w-]+)@[0-9a-f]{40})")
_SETUP = """\
echo "source=$(realpath "$ACTION/../../..")" >> "$GITHUB_OUTPUT"
echo "python=$STAGE_PYTHON" >> "$GITHUB_OUTPUT"
"""
_GH = """\
#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$STAGE/gh.log"
said="$*"
if [[ $said == *body=@* ]]; then cp "${said##*body=@}" "$STAGE/comment.md"; fi
"""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """``jobs`` are the results by name, without those that were skipped; ``text`` is what all steps printed."""

    status: int
    jobs: Mapping[str, str]
    text: str


class Stage:
    """One run's place: the repository whose workflow runs, pytest-thor's repository as others use it, and artifacts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.origin = folder / "origin"
        self.artifacts = folder / "artifacts"
        self.project = folder / "pytest-thor"
        for name in _CARRIED:
            shutil.copytree(ROOT / name, self.project / name, ignore=shutil.ignore_patterns("__pycache__"))
        for path in [*self.project.glob(".github/workflows/*.yml"), *self.project.glob(".github/actions/*/action.yml")]:
            written = re.sub(r"uses: \$/(\S+)", rf"uses: {SELF}/\1@{COMMIT}", path.read_text(encoding="utf-8"))
            path.write_text(re.sub(r"^ *queue: max\n", "", written, flags=re.MULTILINE), encoding="utf-8")
        setup = self.project / ".github/actions/setup/action.yml"
        content = yaml.safe_load(setup.read_text(encoding="utf-8"))
        content["runs"]["steps"][0]["run"] = _SETUP
        setup.write_text(yaml.safe_dump(content), encoding="utf-8")
        self.artifacts.mkdir()
        gh = folder / "bin" / "gh"
        gh.parent.mkdir()
        gh.write_text(_GH, encoding="utf-8")
        gh.chmod(0o755)

    def keep(self, files: Mapping[str, str], *, branch: str = "main") -> None:
        """Make the repository whose workflow runs: ``files``, committed on a branch."""
        for name, text in files.items():
            path = self.origin / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if not (self.origin / ".git").exists():
            self.git("init", "--quiet", "--initial-branch", branch)
            self.git("remote", "add", "origin", "https://github.com/owner/name")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "as it is")

    def git(self, *words: str) -> str:
        """Run git in the repository whose workflow runs."""
        identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", "-C", str(self.origin), *identity, *words], check=True, capture_output=True, text=True
        )
        return done.stdout

    def kept(self) -> list[str]:
        """Return the names of the artifacts."""
        return sorted(path.name for path in self.artifacts.iterdir())

    def listed(self, event: str) -> set[str]:
        """Return the workflows that an event starts, by their files."""
        assert ACT is not None
        done = subprocess.run(
            [ACT, event, "--list"], cwd=self.origin, env=self._home(), capture_output=True, text=True, check=True
        )
        return set(re.findall(r"[\w-]+\.yml", done.stdout))

    def _home(self) -> dict[str, str]:
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {"PATH": path, "HOME": os.environ["HOME"], "XDG_CACHE_HOME": str(self.folder / "xdg")}

    def run(self, event: str, workflow: str, *options: str, environ: Mapping[str, str] | None = None) -> Ran:
        """Run a workflow of the repository for an event; ``environ`` is what the runners' services were given."""
        assert ACT is not None
        told = {
            "STAGE": str(self.folder),
            "STAGE_PYTHON": sys.executable,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(ROOT),
            "THOR_LOCK_DIR": os.environ["THOR_LOCK_DIR"],
            "THOR_CACHE": str(self.folder / "cache"),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{self.origin}.insteadOf",
            "GIT_CONFIG_VALUE_0": "https://github.com/owner/name",
            **(environ or {}),
        }
        command = [ACT, event, "--workflows", f".github/workflows/{workflow}", "--json", "--no-skip-checkout"]
        command += [f"--platform={machine}=-self-hosted" for machine in ("ubuntu-24.04", "self-hosted")]
        command += [f"--local-repository={SELF}@{COMMIT}={self.project}"]
        command += [f"--local-repository={pin}={_STAND_INS / name}" for pin, name in self._pins()]
        command += [f"--env={name}={value}" for name, value in told.items()]
        done = subprocess.run(
            [*command, *options], cwd=self.origin, env=self._home(), capture_output=True, text=True, check=False
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return Ran(
            status=done.returncode,
            jobs={line["job"].strip(): line["jobResult"] for line in lines if "jobResult" in line},
            text="".join(f"{line.get('job', '')} | {line['msg'].rstrip()}\n" for line in lines) + done.stderr,
        )

    def _pins(self) -> list[tuple[str, str]]:
        files = [*self.project.glob(".github/**/*.yml"), *self.origin.glob(".github/**/*.yml")]
        found = {match.group(1, "name") for path in files for match in _PIN.finditer(path.read_text(encoding="utf-8"))}
        return sorted((pin, name) for pin, name in found)
