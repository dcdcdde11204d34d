"""What the kernel alone takes to move a GB between a socket of the loopback and files, and what the disk alone takes to
have a little on it. A broker that does so cannot take less; the figures tell how far it is above."""

import os
import pathlib
import socket
import statistics
import tempfile
import time

PIECE = 1 << 20
PIECES = 1024
LOG_PIECES = 128


def floors(folder):
    """CPU seconds per GB of whoever stands where the broker does, by what it does."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="bench-floor-") as name:
        here = pathlib.Path(name)
        with open(here / "log", "wb") as log:
            log.write(bytes(LOG_PIECES * PIECE))
            os.fsync(log.fileno())
        return {
            "receive, write to a new file": cpu(lambda s: receive(s, here / "new"), send),
            "... and before that to a file that is used again, fdatasync each MB": cpu(
                lambda s: receive(s, here / "newer", here / "log"), send
            ),
            "sendfile of what is in the page cache": cpu(lambda s: send_file(s, here / "new"), discard),
            "send the same MB of memory again and again": cpu(send, discard),
        }


def sync_ms(folder, seconds):
    """Milliseconds that a write of 6 KB every 5 ms takes with its fdatasync, as 10,000 records/s of 100 B make them: p50,
    p99, the most."""
    taken = []
    with tempfile.NamedTemporaryFile(dir=folder, prefix="bench-floor-") as file:
        file.write(bytes(LOG_PIECES * PIECE))
        file.flush()
        os.fsync(file.fileno())
        block = os.urandom(6000)
        for turn in range(seconds * 200):
            began = time.perf_counter()
            os.pwrite(file.fileno(), block, turn * len(block) % (LOG_PIECES * PIECE - len(block)))
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - began) * 1000)
            time.sleep(max(0, 0.005 - taken[-1] / 1000))
    cut = statistics.quantiles(taken, n=100)
    return cut[49], cut[98], max(taken)


def cpu(broker, client):
    """Runs both as processes at the ends of a connection; answers CPU seconds per GB of the first."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        accepted = run(lambda: broker(listener.accept()[0]))
        connected = run(lambda: client(socket.create_connection(address)))
    seconds = [wait(accepted), wait(connected)]
    return seconds[0] / (PIECE * PIECES / 1e9)


def run(work):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def wait(pid):
    _, status, usage = os.wait4(pid, 0)
    assert status == 0
    return usage.ru_utime + usage.ru_stime


def send(stream):
    block = os.urandom(PIECE)
    for _ in range(PIECES):
        stream.sendall(block)


def send_file(stream, path):
    with open(path, "rb") as file:
        at = 0
        while sent := os.sendfile(stream.fileno(), file.fileno(), at, PIECE):
            at += sent


def discard(stream):
    block = bytearray(PIECE)
    while stream.recv_into(block):
        pass


def receive(stream, path, log=None):
    block = memoryview(bytearray(PIECE))
    used = os.open(log, os.O_RDWR) if log else None
    with open(path, "wb", buffering=0) as file:
        for piece in range(PIECES):
            filled = 0
            while filled < PIECE:
                filled += stream.recv_into(block[filled:])
            if log:
                os.pwrite(used, block, piece % LOG_PIECES * PIECE)
                os.fdatasync(used)
            file.write(block)
        if log:
            os.fdatasync(file.fileno())
