"""Shapes and types of every public function are checked while the tests and examples run, and only then."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # the workers fill the cores: a thread each, and each child too
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch looks

from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook(["twofold", "companion"], "beartype.beartype")

# An example that takes long on a busy machine is no error.
settings.register_profile("twofold", deadline=None)
settings.load_profile("twofold")
