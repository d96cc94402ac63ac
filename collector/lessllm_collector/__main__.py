"""`python -m lessllm_collector`."""

from lessllm_collector.service import main

main()
