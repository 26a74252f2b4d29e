"""Plain pytest must not feel that there is a matrix room."""

import subprocess
import sys


def test_importing_the_room_loads_neither_pydantic_nor_yaml() -> None:
    code = "import sys, pytest_thor.matrix; print(sorted({'pydantic', 'yaml'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_unknown_name_of_the_room_is_an_attribute_error() -> None:
    code = "import pytest_thor.matrix as m; print(hasattr(m, 'load'), hasattr(m, 'lod'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True False\n"
