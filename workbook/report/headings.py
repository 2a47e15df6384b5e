"""The headings of tables for readers, by the names of their columns.

A heading that ends in ", %" stands over shares, which are then shown as percentages.
"""

PERCENT = ", %"
"""What the heading of a column of shares ends in."""

HEADINGS = {
    "batch": "pictures in a batch",
    "break_even_files": "pays from, files",
    "bytes_per_image": "bytes an image",
    "calls": "calls",
    "ceiling": "at most, times",
    "ceiling_with_above": "with those above, times",
    "certain": "certified",
    "chunk": "files a chunk",
    "core_hours": "core hours",
    "cpu_ms": "CPU time, ms per picture",
    "cpu_s": "CPU time, s",
    "distance": "bits that differ",
    "dollars": "US dollars",
    "efficiency": "of its workers used, %",
    "executor": "executor",
    "exponent": "grows with n to the power",
    "files_per_second": "files a second",
    "first_digits_corrected": "corrected, first digits",
    "first_digits_shipped": "as shipped, first digits",
    "hasher": "method",
    "high": "to",
    "increment_mib": "added, MiB",
    "installed_ms": "as installed, ms",
    "items_per_second": "pictures a second",
    "low": "from",
    "memory_gb": "memory, GB",
    "mib": "memory, MiB",
    "ms": "milliseconds",
    "n": "hashes",
    "own_seconds": "own seconds",
    "peak_mib": "peak, MiB",
    "predicted_ms": "predicted, ms",
    "process_mib": "process, MiB",
    "radius": "radius, bits",
    "reach": "to a centre, bits",
    "link": "link, bits",
    "sent_gb": "sent, GB",
    "share": "share, %",
    "speed_up": "times as fast",
    "start_up_s": "start-up, s",
    "taken_up_in": "taken up in notebook",
    "utilisation": "of its workers, %",
    "wall_ms": "wall-clock time, ms per picture",
    "wall": "wall-clock time, s",
}
"""What stands over a column; other columns have their own names, without underscores."""


def heading_of(column: str) -> str:
    """The heading of a column by its name."""
    return HEADINGS.get(column, column.replace("_", " "))
