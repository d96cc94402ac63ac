"""When a finding is worth telling, and how much is looked at. Every threshold of suggestions is here."""

MAX_CALLS = 2_000  # with bodies, the newest
MAX_BODY_BYTES = 64 * 1024 * 1024  # of their requests in all
MAX_ONE_BODY_BYTES = 8 * 1024 * 1024
STEP_CALLS = 50  # are read at once
CACHE_S = 60.0  # an answer is given again for so long

LEAST_CALLS = 2  # that lose: one may be chance
LEAST_TOKENS = 200  # that such a call loses
LEAST_USD_30_DAYS = 0.01  # projected: less is not worth a change
LEAST_DAYS = 1.0  # a projection is from

NEARLY_MINIMUM = 0.2  # of the provider's minimum: a shorter prefix is not worth being made longer
HARDLY_CACHED = 0.1  # of a shared prefix: it was not read from cache
