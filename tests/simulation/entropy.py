"""Randomness from a seed: each part of a simulation draws from a stream of its own."""

from random import Random


def stream(seed: int, *names: object) -> Random:
    """The same for the same seed and names, whatever else draws."""
    return Random("/".join(str(part) for part in (seed, *names)))


class SeededEntropy:
    """Implements Entropy."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    def token(self) -> bytes:
        return self._chance.randbytes(16)

    def fraction(self) -> float:
        return self._chance.random()
