"""Cuts the power of a mounted ext4: FS_IOC_SHUTDOWN without flushing its log.

    cut.py MOUNT_POINT
"""

import fcntl
import os
import struct
import sys

FS_IOC_SHUTDOWN = 0x8004587D
WITHOUT_FLUSHING = 2

fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), FS_IOC_SHUTDOWN, struct.pack("I", WITHOUT_FLUSHING))
