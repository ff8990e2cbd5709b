"""What importing TensorFlow here brings with it."""

import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
from gru4rec_lib import backend  # its import sets the allocator

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(1 << 24, np.float32)  # 64 MB: 16,384 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first, *others = [faults() for _ in range(4)]
print(first, *others)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other allocators")
def test_freed_memory_is_kept_for_the_next_array():
    said = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout
    first, *others = map(int, said.split())
    assert max(others) < 20 < first, "without it, each array has its pages mapped anew"
