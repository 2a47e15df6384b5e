"""How well a hasher separates matching pairs from others: what `finlib evaluate` computes.

labels      whether the names of images say which belong together
histograms  distances of all pairs, counted by family
metrics     scores of pairs and of searches
"""
