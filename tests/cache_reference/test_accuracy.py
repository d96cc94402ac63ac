"""Cache hits as the collector predicts them, against the reference: bench/cache_accuracy.py, smaller."""

import pytest
from cache_reference import trace
from cache_reference.accuracy import Figures, figures
from cache_reference.cases import PLACES, answered, cases

SEED = 1
CALLS, TRACE_CALLS = 80, 120


@pytest.mark.parametrize("provider", PLACES)
def test_cache_hits_are_predicted(provider):
    generated = {
        f"{workload}, {place.model}": figures(calls, place)
        for workload, place, calls in cases(provider, CALLS, SEED)
    }
    rows = trace.sample(SEED, TRACE_CALLS)
    place = PLACES[provider][0]
    found = generated | {"like the trace": figures(answered(trace.asks(rows), place), place)}
    total = sum(found.values(), Figures())
    assert total.calls > 500
    assert total.rates > 0
    assert total.on_target(), {name: each.summary() for name, each in found.items()}
    assert total.outcomes["none"] == 0
