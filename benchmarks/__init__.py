"""Benchmarks: ratios measured side by side in one run, on the same weights and texts. Never a timed test."""
