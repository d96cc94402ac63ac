"""Prompt caches of providers: what a request asks to be cached, and what its provider will have kept."""

from lessllm_collector.cache.predictor import COLUMNS, Correction, Predictor
from lessllm_collector.cache.rules import Rules

__all__ = ["COLUMNS", "Correction", "Predictor", "Rules"]
