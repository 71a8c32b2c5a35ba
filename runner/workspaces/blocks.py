"""The content of one file, put into another: its blocks shared, or copied, holes left out."""

from __future__ import annotations

import errno
import fcntl
import os

from runner.backends.threads import CHUNK, breathe

FICLONE = 0x40049409  # ioctl_ficlone(2)
BLOCK = 512  # bytes that `st_blocks` counts
_BY_HAND = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}


def clone(reading: int, writing: int) -> bool:
    """Share the blocks; False if this file's cannot be."""
    try:
        fcntl.ioctl(writing, FICLONE, reading)
    except OSError as error:
        if error.errno not in _BY_HAND:
            raise
        return False
    return True


def copy_content(reading: int, writing: int, status: os.stat_result) -> None:
    """Copy what is not a hole, up to the size that the file had."""
    size = status.st_size
    if status.st_blocks * BLOCK >= size:
        _copy_range(reading, writing, 0, size)
        return
    end = 0
    while end < size:
        try:
            start = os.lseek(reading, end, os.SEEK_DATA)
            end = min(os.lseek(reading, start, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break  # a hole up to the end
            if error.errno not in _BY_HAND:
                raise
            start, end = end, size  # this file system does not tell: all of it is data
        _copy_range(reading, writing, start, end - start)
    os.ftruncate(writing, size)


def _copy_range(reading: int, writing: int, start: int, count: int) -> None:
    """By the kernel, which may share the blocks, where it can; else through a buffer."""
    in_kernel = True
    while count:
        if in_kernel:
            try:
                done = os.copy_file_range(reading, writing, min(count, 64 * CHUNK), start, start)
            except OSError as error:
                if error.errno not in _BY_HAND:
                    raise
                in_kernel = False
                continue
            if not done:  # the end; but some file systems say so at once
                in_kernel = False
                continue
        else:
            piece = os.pread(reading, min(count, CHUNK), start)
            if not piece:
                return  # it has become shorter
            done = os.pwrite(writing, piece, start)
        start, count = start + done, count - done
        breathe()
