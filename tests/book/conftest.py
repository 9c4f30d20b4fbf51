"""The finished runs, priced once a session: for the first page, and for the findings."""

import pytest

from companion.book.headline import headline_points
from companion.study.energies import cells_only, energies, machines
from companion.study.grouping import over_seeds
from companion.study.results import load_results, starting_from


@pytest.fixture(scope="session")
def study():
    return starting_from(load_results())


@pytest.fixture(scope="session")
def priced(study):
    """By machine, means over seeds with the accuracy of 8-bit inputs, as chapter 6 has them."""
    judged = study.assign(test_accuracy=study.test_accuracy_w8a8)
    models = machines(cells_only("packed"))
    return {name: over_seeds(energies(judged, model)) for name, model in models.items()}


@pytest.fixture(scope="session")
def points():
    return headline_points()
