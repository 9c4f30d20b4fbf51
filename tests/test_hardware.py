"""The LIG in Verilog against the library, clock by clock over full periods (Icarus Verilog)."""

import shutil
import subprocess

import numpy as np
import pytest

from twofold.gf2 import Polynomial, primitive_polynomial
from twofold.lfsr import LFSR
from twofold.lig import reduce_states
from twofold.masks import lfsr_mask
from twofold.paths import repository

HARDWARE = repository() / "hardware"

pytestmark = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus Verilog is not installed (Debian: apt install iverilog)"
)


def simulate(tmp_path, **parameters: int) -> np.ndarray:
    """Columns state, index, valid, ready; a row for each clock after reset."""
    program = tmp_path / "lig"
    settings = [f"-Plig_tb.{name}={value}" for name, value in parameters.items()]
    sources = [HARDWARE / "lig.v", HARDWARE / "lig_tb.v"]
    subprocess.run(["iverilog", "-g2005-sv", "-Wall", "-o", program, *settings, *sources], check=True)
    printed = subprocess.run(["vvp", "-n", program], check=True, capture_output=True, text=True).stdout
    lines = [line.split() for line in printed.splitlines() if line[:1].isdigit()]
    return np.array(lines, dtype=np.int64)


CASES = [
    ("x^9+x^4+1", 1, 300, "multiply-shift"),
    ("x^9+x^4+1", 77, 300, "modulo"),
    ("x^9+x^5+1", 5, 144, "multiply-shift"),
    (str(primitive_polynomial(12)), 3, 2304, "multiply-shift"),
]


@pytest.mark.parametrize("polynomial, seed, size, reduction", CASES)
def test_lig_walks_as_the_library_does_over_a_full_period(tmp_path, polynomial, seed, size, reduction):
    p = Polynomial.parse(polynomial)
    register = LFSR(p, seed)
    rows = simulate(
        tmp_path,
        DEGREE=p.degree,
        TAPS=p.mask - (1 << p.degree),
        SEED=seed,
        M=size,
        MODULO=int(reduction == "modulo"),
        CLOCKS=register.period + 1,
    )
    states = register.states(register.period + 1)
    np.testing.assert_array_equal(rows[:, 0], states)
    np.testing.assert_array_equal(rows[:, 1], reduce_states(states, size, p.degree, reduction))
    fresh = rows[rows[:, 2] == 1, 1]
    density = len(fresh) / size
    order = lfsr_mask((size,), density, p, seed, reduction=reduction).order.numpy()
    np.testing.assert_array_equal(fresh, order)


def test_lig_waits_for_a_slow_consumer_and_loses_nothing(tmp_path):
    rows = simulate(tmp_path, CLOCKS=900, STALL=3)
    taken = rows[(rows[:, 2] == 1) & (rows[:, 3] == 1), 1]
    order = lfsr_mask((300,), 0.5, "x^9+x^4+1").order.numpy()
    np.testing.assert_array_equal(taken[:150], order)
    waiting = (rows[:-1, 2] == 1) & (rows[:-1, 3] == 0)
    np.testing.assert_array_equal(rows[1:][waiting, 0], rows[:-1][waiting, 0])
