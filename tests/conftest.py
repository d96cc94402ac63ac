"""What all tests share: the seed of those that choose by chance, in their names. SEED=… repeats it."""

import os
import random

os.environ.setdefault("SEED", str(random.randrange(10**9)))  # here, since workers must agree
