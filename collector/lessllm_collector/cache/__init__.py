"""Prompt caches of providers: what a request asks to be cached, and what its provider will have kept."""
