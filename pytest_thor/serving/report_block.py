"""The block of ``vllm bench serve`` under the name it had in this room; the report lays it out too, one floor down."""

from __future__ import annotations

from pytest_thor.vllm_block import vllm_block

__all__ = ["vllm_block"]
