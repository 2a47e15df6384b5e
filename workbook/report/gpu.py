"""Measure hashing and scanning on a GPU, for `python -m workbook gpu`.

The command writes gpu_scans.csv, gpu_batch.csv, and gpu.json with the machine, the device and the
date. They stay until the command is run again.
"""

import importlib
from importlib.util import find_spec
from pathlib import Path

from numba import cuda

from workbook.report.record import Recorder
from workbook.study import gpu


def measure_gpu(out: str | Path = "figures") -> None:
    """Measure the batch and the scans on this machine's GPU, and write them to the folder `out`.

    Raises RuntimeError where there is no GPU, or CuPy is not installed.
    """
    if not cuda.is_available():
        raise RuntimeError(
            "there is no NVIDIA GPU that numba can use, so nothing is measured; on a machine with "
            "one, install numba-cuda[cu13] and cupy-cuda13x first"
        )
    if not find_spec("cupy"):
        raise RuntimeError("CuPy is not installed: pip install cupy-cuda13x")
    cupy = importlib.import_module("cupy")
    recorder = Recorder("gpu", out)
    recorder.number("device", cuda.get_current_device().name.decode())
    recorder.table("batch", gpu.time_batch(cupy), ["name", "repeat"])
    recorder.save()
    scans = gpu.time_scans()
    recorder.table("scans", scans, ["distance", "hashes", "name", "repeat"])
    recorder.save()
