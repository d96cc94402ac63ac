"""The gateway: authenticates, routes, relays and times LLM API calls, and hands their records over.

It observes and never interprets: a stopwatch and a tape recorder. See docs/architecture.md.
"""
