"""The command line: FIN's daily work without writing Python.

page    pairs or clusters as a page to look at and to mark
daily   what the commands share: sources, what may be written, hashes, clusters
hashing  the table of hashes, which only grows
search  pairs of files, found and written step by step
interruption  Ctrl-C ends a run in about two seconds
cli     the `finlib` command: its words, and nothing else
"""
