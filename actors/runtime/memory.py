"""What a process that keeps very many entities asks of Python's memory."""

import gc


def calm_garbage_collection() -> None:
    """To be called once all is set up: then collections are rare, and leave alone what is there already.

    A full collection over a few 100,000 entities takes a third of a second, and they hold no cycles. Without this a
    command costs twice as much once a million entities are in memory.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 1000)
