"""Anthropic's API formats: messages and count_tokens."""
