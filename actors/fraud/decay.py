"""Exponential decay in whole numbers, so that every process computes the same."""

from math import isqrt

_ONE = 1 << 32
_ROOTS = [_ONE >> 1]
while len(_ROOTS) < 24:
    _ROOTS.append(isqrt(_ROOTS[-1] << 32))
# _ROOTS[k] is one half to the power of 2**-k, as a fraction of 2**32.


def decayed(amount: int, elapsed_ms: int, half_life_ms: int) -> int:
    """What remains of the amount, rounded down: half of it after each half-life."""
    if elapsed_ms <= 0 or amount == 0:
        return amount
    halvings, rest = divmod(elapsed_ms, half_life_ms)
    if halvings >= amount.bit_length():
        return 0
    fraction = (rest << 23) // half_life_ms
    factor = _ONE
    for k in range(1, 24):
        if fraction >> (23 - k) & 1:
            factor = factor * _ROOTS[k] >> 32
    return amount * factor >> (32 + halvings)
