"""Cases by id, whichever tier they are of: the stored ones at hand, those of the full tier computed when they are asked for."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path

from rnn_fixtures.case import Case
from rnn_fixtures.domain import domain
from rnn_fixtures.full import index
from rnn_fixtures.full.parts import Part, part_of
from rnn_fixtures.store import DataError, Store

# So many parts of the full tier are kept in memory.
KEPT = 4


class Cases(Mapping[str, Case]):
    """Every case of a folder of golden data, by id; iterating gives the stored ones."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.stored = {case.id: case for case in store.cases()}
        self._parts: OrderedDict[Part, tuple[Store, dict[str, Case]]] = OrderedDict()

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, name: str) -> Case:
        return self.stored[name] if name in self.stored else self._computed(name)[1][name]

    def store_of(self, name: str) -> Store:
        """The golden data that holds a case.

        Raises
        ------
        KeyError
            When there is no such case.
        """
        return self._store if name in self.stored else self._computed(name)[0]

    def _computed(self, name: str) -> tuple[Store, dict[str, Case]]:
        part = part_of(domain(), name)
        if part is None or not has_full(self._store.folder):
            raise KeyError(name)
        if part not in self._parts:
            from rnn_fixtures.full import cache

            store = cache.opened(domain(), part, self._store.folder)
            self._parts[part] = store, {case.id: case for case in store.cases()}
            while len(self._parts) > KEPT:
                self._parts.popitem(last=False)
        self._parts.move_to_end(part)
        return self._parts[part]


def full_digest(store: Store) -> str:
    """Names a revision of golden data together with its index of the full tier.

    Raises
    ------
    DataError
        When it has none.
    """
    return hashlib.sha256(f"{store.digest} {index.read(store.folder).digest}".encode()).hexdigest()


def has_full(data: Path) -> bool:
    """Whether golden data comes with an index of the full tier."""
    try:
        index.read(data)
    except DataError:
        return False
    return True
