"""How well a hasher separates matching pairs from others: what `finlib evaluate` computes.

histograms  distances of all pairs, counted by family
metrics     scores of pairs and of searches
"""
