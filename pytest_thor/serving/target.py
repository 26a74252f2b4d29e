"""Where a load goes: the address of a server, the model's name there, and the dialect that it speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Dialect: TypeAlias = Literal["llama-server", "vllm", "openai"]
"""Which extras a request may carry, and how an empty chunk is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A running server.

    ``path_prefix`` stands before ``/v1/…``. ``headers`` go with every request; they may hold a key, so that they are
    neither shown by ``repr`` nor repeated from what the server answers.
    """

    host: str
    port: int
    model: str
    dialect: Dialect
    path_prefix: str = ""
    tls: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def keeps_connections(self) -> bool:
        """Whether a connection can be used again after a stream; llama-server closes it, whatever it announces."""
        return self.dialect != "llama-server"

    def redacted(self, text: str) -> str:
        """Return text without what the headers hold (a server may repeat a wrong key in its answer)."""
        for value in self.headers.values():
            for secret in (value, value.rpartition(" ")[2]):  # "Bearer sk-…", and the key alone
                if len(secret) > 3:
                    text = text.replace(secret, "***")
        return text
