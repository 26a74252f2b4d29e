"""``python -m pytest_thor.command``, where the script is not on the path."""

from pytest_thor.command import main

main(prog_name="pytest-thor")
