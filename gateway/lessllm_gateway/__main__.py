"""`python -m lessllm_gateway`."""

from lessllm_gateway.service import main

main()
