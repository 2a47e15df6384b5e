"""Packed hashes to clusters of images.

null_model   how far apart unrelated images are
centres      the centre of a cluster; how clusters of two families are split
corrections  corrections made by hand
radii        the radius within which images may be brought together
clusterer    the rounds that unite hashes into clusters
clusters     any number of hashes to clusters, and new hashes into clusters made before
"""
