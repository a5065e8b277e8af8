"""The tokenizer that is taken where none is given, and the hash of tokens."""

from __future__ import annotations

import hashlib
from typing import Any


def simple_split_tokenizer(value: str) -> list[str]:
    """Returns the parts between single spaces; two spaces have an empty part between them."""
    return value.split(" ")


def simple_hash(value: Any, num_features: int) -> int:
    """Returns a number in [0, `num_features`) that depends on the text of `value` alone."""
    return int.from_bytes(hashlib.sha256(str(value).encode()).digest(), "big") % num_features
