"""The command line: FIN's daily work without writing Python.

page    pairs or clusters as a page to look at and to mark
daily   what the commands share: sources, the growing table, what may be written, clusters
search  pairs of files, found and written as they come
interruption  Ctrl-C ends a run in about two seconds
cli     the `finlib` command: its words, and nothing else
"""
