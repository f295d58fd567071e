"""A process that other people's code runs in: without network, without neighbours, bounded.

Linux's namespaces do it, where users may make them: no network but the loopback on which kernels
talk, no process in sight but its own, nothing in the folders that are none of its business, and
nothing that can be written but its own folder: not this package, not a neighbour's results.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = (
    0x00020000,
    0x10000000,
    0x20000000,
    0x40000000,
)
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, READ_ONLY = 442, -100, 0x8000, 0x1  # Linux 5.12
PR_SET_PDEATHSIG = 1
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1
NOT_ROOT = 1000  # what root is called inside: a process that is root there could undo all this


def isolate(covered: Sequence[str], home: str) -> bool:
    """Move what follows into namespaces of its own; whether the system does all of it.

    What follows runs in a child of a child: the first process of a namespace ends all others when
    it ends, and Jupyter's kernels take a parent with number 1 for a dead one.

    Args:
        covered: folders that are empty from here on, but for ``home`` if it is in them.
        home: the one folder that can be written from here on, and the working folder.
    """
    user, group = os.getuid(), os.getgid()
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID):
            return False
    except (OSError, AttributeError):
        return False
    with contextlib.suppress(OSError):  # who we are, seen from inside
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user or NOT_ROOT} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group or NOT_ROOT} {group} 1")
    _raise_loopback()
    libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    sealed = _seal(libc, covered, home)
    _wait_for_child(libc)
    libc.mount(b"proc", b"/proc", b"proc", 0, None)
    _wait_for_child(libc)
    return sealed


def _seal(libc: ctypes.CDLL, covered: Sequence[str], home: str) -> bool:
    """Cover folders, and make all but ``home`` read-only; whether the system did it."""
    own = os.open(home, os.O_PATH)  # as it is below what may cover it
    for folder in covered:
        libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=64k,mode=0755")
    os.makedirs(home, exist_ok=True)
    libc.mount(b"/proc/self/fd/%d" % own, os.fsencode(home), None, MS_BIND, None)
    os.close(own)
    os.chdir(home)
    sealed = _set_flags(libc, "/", AT_RECURSIVE, READ_ONLY, 0)
    sealed = _set_flags(libc, home, 0, 0, READ_ONLY) and sealed
    libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", 0, b"size=512m,mode=1777")
    return sealed


def _set_flags(libc: ctypes.CDLL, place: str, how: int, setting: int, clearing: int) -> bool:
    flags = struct.pack("QQQQ", setting, clearing, 0, 0)
    size = ctypes.c_size_t(len(flags))
    done = libc.syscall(MOUNT_SETATTR, AT_FDCWD, os.fsencode(place), how, flags, size)
    return done == 0


def _wait_for_child(libc: ctypes.CDLL) -> None:
    """Go on in a child; the parent stays, and ends as it ends, or ends it."""
    child = os.fork()
    if child:
        while True:  # as the first process of a namespace it is handed orphans, too
            ended, status = os.wait()
            if ended == child:
                os._exit(os.waitstatus_to_exitcode(status) and 1)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _raise_loopback() -> None:
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as open_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        found = fcntl.ioctl(open_socket, SIOCGIFFLAGS, request)
        (flags,) = struct.unpack("16xH14x", found)
        fcntl.ioctl(open_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def bounded_memory(gigabytes: float) -> None:
    """No process from here on may hold more than so much."""
    limit = int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def may_be_covered(folder: Path) -> bool:
    """Whether a folder holds nothing that grading itself needs: Python, this package."""
    folder = folder.resolve()
    needed = [Path(sys.prefix), Path(sys.base_prefix), Path(__file__)]
    needed += [Path(entry) for entry in sys.path if entry]
    return folder.is_dir() and not any(path.resolve().is_relative_to(folder) for path in needed)
