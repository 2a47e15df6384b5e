"""How well a hasher tells pictures apart: what `finlib evaluate` computes.

histograms  distances of all pairs, counted by family
metrics     scores of pairs and of searches
"""
