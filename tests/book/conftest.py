"""Some finished runs, one seed each: those that the findings name."""

import matplotlib
import pytest
from matplotlib import pyplot as plt

from companion.study.results import load_results, starting_from

NAMED = (
    *("dense-b8", "rounded-b3-rows", "bits-mu125", "bits-mu500", "bits-counts-beta150"),
    *("lfsr-r50", "lfsr-r90", "lfsr-ms-r50", "lfsr-ms-r90"),
    *("twofold-ms-r10-mu125", "twofold-ms-r50-mu125", "twofold-ms-r80-mu125", "twofold-ms-r90-mu125"),
    *("twofold-r50-mu80-b8-rows", "twofold-r90-mu60-b8-rows", "twofold-col-g64-r50-mu0.8-b3-rows"),
    *("magnitude-bits-r50-mu80-b8-rows-bf16", "magnitude-bits-r90-mu60-b8-rows-bf16"),
    *("magnitude-bits-r50-mu125", "magnitude-bits-r90-mu125", "twofold-ms-r90-mu125-erk"),
    *("twofold-ms-r90-popcount-beta10-lambda1-p6", "twofold-col-g64-r80-mu0.8-b3-rows"),
    *(f"magnitude-bits-g64-r{percent}-mu0.8-b3-rows" for percent in (50, 80)),
    *(f"twofold-r{percent}-counts-beta100-lambda0.1-p6" for percent in (10, 50, 90)),
)


matplotlib.use("Agg")


@pytest.fixture
def drawn_and_closed():
    """Every figure is drawn to pixels (formatters run only then) and put away."""
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")


@pytest.fixture(scope="session")
def study():
    return starting_from(load_results())


@pytest.fixture(scope="session")
def few(study):
    """Rows of `NAMED`, of the first seed."""
    return study[study.run.isin([f"{name}-s1" for name in NAMED])]
