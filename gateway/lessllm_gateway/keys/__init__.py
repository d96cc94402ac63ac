"""Client keys: who calls (`ring`), whether it may now (`gate`), and what it has spent (`account`).

A key is what lessllm.yaml has under `auth`; its name is what everything else is kept by, so that it outlives
a new reading of the file (`watch`). Spending is the collector's to count: what it said last is known, and
what it can't know yet is assumed. Nothing here waits, but for the watching.
"""
