"""Benchmarks: every figure is measured in the same run for Offload and for stock arq 0.28, in turns."""
