"""A test that holds the device by its server and measures too is told so, and does not wait for itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from tests.fakes.stub_server import Stub

MATRIX = """\
name: served
models: {{remote: {{hf: remote/model, quants: [BF16]}}}}
backends: {{there: {{engine: openai, settings: {{url: "{url}"}}}}}}
workloads: {{load: {{kind: serving, input_len: 8, output_len: 4, num_prompts: 2, max_concurrency: 1}}}}
"""


@pytest.fixture
def served(pytester: pytest.Pytester) -> Iterator[None]:
    (pytester.path / "stub.json").write_text("{}")
    stub = Stub(str(pytester.path / "stub"), [])
    stub.dies = False
    with stub.server(0) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        (pytester.path / "pyproject.toml").write_text("")
        (pytester.path / "served.yaml").write_text(MATRIX.format(url=f"http://127.0.0.1:{server.server_port}"))
        yield
        server.shutdown()


@pytest.mark.usefixtures("served")
def test_a_test_that_has_its_server_and_measures_is_told(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_both="def test_both(thor_server, thor_run):\n    thor_run()\n")
    pytester.runpytest("--thor-matrix", "served.yaml", "--thor-launches=1", "test_both.py")
    [cell] = json.loads((pytester.path / "thor-report" / "report.json").read_text())["cells"]
    assert cell["outcome"] == "error"
    assert "this run holds the device already, as thor_server does" in cell["reason"]
