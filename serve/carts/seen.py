"""Which SKUs a cart had when this replica saw it last: a hint that spares a checkout its second question."""

from collections import OrderedDict
from collections.abc import Iterable


class SeenSkus:
    """The carts seen most recently, with at most `limit` SKUs together. What it says may be stale, or nothing."""

    def __init__(self, limit: int = 200_000) -> None:
        self._limit = limit
        self._count = 0
        self._carts: OrderedDict[str, frozenset[str]] = OrderedDict()

    def remember(self, cart_id: str, skus: Iterable[str]) -> None:
        """Replaces what was known of the cart."""
        self._count -= len(self._carts.pop(cart_id, ()))
        seen = frozenset(skus)
        if seen:
            self._carts[cart_id] = seen
            self._count += len(seen)
        while self._count > self._limit:
            self._count -= len(self._carts.popitem(last=False)[1])

    def of(self, cart_id: str) -> frozenset[str]:
        return self._carts.get(cart_id, frozenset())
