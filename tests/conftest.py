"""What all tests share: the seed of those that choose by chance, in their names. SEED=… repeats it.

Coverage is of the tests that someone thought of: to trace those that Hypothesis makes takes longer than they.
"""

import os
import random

os.environ.setdefault("SEED", str(random.randrange(10**9)))  # here, since workers must agree


def pytest_collection_modifyitems(items):
    for item in items:
        if getattr(item.obj, "is_hypothesis_test", False):
            item.add_marker("no_cover")
