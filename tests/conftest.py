"""What all tests share: the seed of those that choose by chance, in their names. SEED=… repeats it.

Coverage is of the tests that someone thought of: to trace those that Hypothesis makes takes longer than they.

Clients share what they trust: each would read all well-known authorities, which takes longer than its call.
"""

import functools
import os
import random

import httpx
import httpx2

os.environ.setdefault("SEED", str(random.randrange(10**9)))  # here, since workers must agree
for library in (httpx, httpx2):  # the latter is the official SDKs'
    library._transports.default.create_ssl_context = functools.cache(library.create_ssl_context)


def pytest_collection_modifyitems(items):
    for item in items:
        if getattr(item.obj, "is_hypothesis_test", False):
            item.add_marker("no_cover")
