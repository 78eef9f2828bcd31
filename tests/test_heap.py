"""What becomes of large blocks, as the C library tells it."""

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")

# 16 MB freed raise glibc's own idea of large; then it is seen where a dictionary of 10,000 levels goes.
_BLOCKS = """
import ctypes
from depth.heap import give_back_large_blocks

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd a b c d e".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
if {steady}:
    assert give_back_large_blocks()
freed = bytearray(16 << 20)
del freed
before = libc.mallinfo2().hblks
book = {{price: 0.0 for price in range(10_000)}}
during = libc.mallinfo2().hblks
del book
print(during - before, libc.mallinfo2().hblks - before)
"""


@pytest.mark.parametrize(("steady", "blocks"), [(True, "1 0"), (False, "0 0")])
def test_a_book_is_given_back_to_the_system(steady: bool, blocks: str) -> None:  # noqa: FBT001  # a parameter
    """A dictionary of 10,000 levels is a block of its own, and gone with its last use; by default it is not."""
    command = [sys.executable, "-c", _BLOCKS.format(steady=steady)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    assert said.strip() == blocks
