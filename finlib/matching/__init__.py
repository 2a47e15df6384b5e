"""Packed hashes to distances, pairs and neighbours.

hamming     Hamming distances as numba kernels
pairs       the exact engine: pairs, neighbours and histograms by comparing every pair
sampling    near pairs by bit sampling: the kernels and one pass
near        near pairs without comparing every pair: predicted recall, exact precision
self_join   the exact self-join of a set that is too large for one machine
thresholds  what to expect of a threshold: false pairs, and the share of matching pairs found
"""
