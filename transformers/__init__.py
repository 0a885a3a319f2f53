"""Steps that are pure functions of a message; `TRANSFORMERS` is the catalogue."""

from __future__ import annotations

from pipe.contract import Transformer
from transformers.check import Check
from transformers.decode import Decode
from transformers.encode import Encode
from transformers.filter_step import Filter
from transformers.mapping import Map, Set
from transformers.table import Table

TRANSFORMERS: tuple[type[Transformer], ...] = (Decode, Encode, Check, Map, Set, Filter, Table)

__all__ = ["TRANSFORMERS"]
