"""Packed hashes to clusters of images.

null_model   the distribution of distances between unrelated images
centres      the majority of a cluster's bits; clusters split where two halves lie far apart
corrections  clusters corrected by hand
clusters     any number of hashes to clusters, and new hashes into clusters made before
"""
