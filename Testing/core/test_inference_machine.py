"""What a run says about its machine is about that run alone."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from uvlm_core.inference.machine import peak_memory_mib


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no memory of the program that started one")
def test_the_peak_of_a_run_is_not_that_of_the_program_that_started_it():
    large = np.ones(100 << 20)  # 800 MiB, resident
    code = "from uvlm_core.inference.machine import peak_memory_mib; print(peak_memory_mib())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert peak_memory_mib() > large.nbytes >> 20
    assert 5 < int(child.stdout) < 300
