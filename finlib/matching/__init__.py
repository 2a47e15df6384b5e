"""Matching: distances, pairs and neighbours of packed hashes.

packed      packed hashes as arrays: checks, 64-bit words and blocks
hamming     the Hamming distance as compiled kernels
rows        the row distance, which captions cannot outvote
distances   the distances by name, as the keyword `distance` takes them
row_keys    dHashes sorted by rows: exact searches that compare few of them
pairs       the exact engine: pairs, neighbours and histograms by comparing every pair
row_index   look-ups by row keys: near dHashes among millions in microseconds
distinct    equal hashes
nearest     the nearest hashes of a few, among very many
forest      components and nearest rows, collected from pairs as they are found
sampling    near pairs by sampling bits, anywhere or from rows: the kernels and a single pass
near        near pairs without comparing every pair: the recall is predicted, every pair is checked
self_join   the exact pairs of a set that is too large for one machine
thresholds  what to expect of a radius: false pairs, and the share of matching pairs found
"""
