"""Ours and Apache Kafka one after the other: same disk, same client, same settings; ratios side by side.

`just bench-kafka [--quick]`. The client is librdkafka's own rdkafka_performance. Every figure of a broker is taken while it
runs alone. CPU comes from /proc, so it counts every thread; `limit` says what was busy: the client's one thread, both
cores of the machine, or neither, which leaves the disk (or waiting). `rest` is what the machine spent otherwise, most of it
the kernel's own threads that write back and free memory; `most` is the throughput at which broker and client would keep all
cores busy with what they took here: no broker that takes as much can be faster with this client on this machine.
"""

import argparse
import contextlib
import mmap
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from confluent_kafka.admin import AdminClient, NewTopic

import floor

HERE = pathlib.Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count()
DEADLINE_S = 240


def free_ports():
    """A port whose successor is free too: Kafka's controller takes that."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", port + 1))
                return port
            except (OSError, OverflowError):
                continue


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def machine_seconds():
    """CPU time of all cores that were not idle."""
    user, nice, system, _, _, irq, softirq = pathlib.Path("/proc/stat").read_text().split(maxsplit=8)[1:8]
    return sum(map(int, (user, nice, system, irq, softirq))) / TICKS


def rss_mb(pid):
    fields = pathlib.Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Broker:
    def __init__(self, name, binary, extra=()):
        self.name = name
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir=ARGS.dir))
        self.port = free_ports()
        self.bootstrap = f"127.0.0.1:{self.port}"
        if name == "millstream":
            command = [binary, "broker", "serve", "--data-dir", str(self.folder / "data"), "--listen", self.bootstrap]
            self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            self.pid = self.process.pid
            self.await_port()
        else:
            command = [str(HERE / "../kafka.sh"), "serve", str(self.folder), str(self.port), *extra]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            line = self.process.stdout.readline().split()
            if line[:1] != ["ready"]:
                sys.exit(f"{name} did not start")
            self.pid = int(line[1])

        self.admin = AdminClient({"bootstrap.servers": self.bootstrap})

    def await_port(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        sys.exit(f"{self.name} does not answer")

    def topic(self, name, partitions):
        self.admin.create_topics([NewTopic(name, partitions, 1)])[name].result(30)
        deadline = time.monotonic() + 30
        while name not in self.admin.list_topics(timeout=10).topics:
            assert time.monotonic() < deadline
        return name

    def drop(self, name):
        """Keeps the disk small: what was measured is deleted."""
        self.admin.delete_topics([name])[name].result(30)

    def stop(self):
        self.admin = None
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            for pid in {self.pid, self.process.pid}:
                os.kill(pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def measure(broker, arguments, megabytes):
    """Runs the client; answers MB/s, CPU seconds per GB of broker and client, and what was busy."""
    machine, before = machine_seconds(), cpu_seconds(broker.pid)
    started = time.monotonic()
    process = subprocess.Popen([ARGS.client, "-b", broker.bootstrap, "-q", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    watchdog = threading.Timer(DEADLINE_S, process.kill)
    watchdog.start()
    stderr = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.monotonic() - started
    watchdog.cancel()
    if status != 0:
        print(f"{broker.name}: {' '.join(arguments)} ended with {status}: {stderr[-300:]}", file=sys.stderr)
        return None
    server, client = cpu_seconds(broker.pid) - before, usage.ru_utime + usage.ru_stime
    rest = max(0.0, machine_seconds() - machine - server - client)
    gigabytes = megabytes / 1000
    busy = (server + client) / elapsed
    limit = "machine" if busy > 0.9 * CORES else "client" if client / elapsed > 0.9 else "disk/wait"
    return {
        "MB/s": megabytes / elapsed,
        "broker s/GB": server / gigabytes,
        "client s/GB": client / gigabytes,
        "rest s/GB": rest / gigabytes,
        "most MB/s": CORES * megabytes / (server + client),
        "limit": f"{limit} ({server / elapsed:.2f}+{client / elapsed:.2f} cores)",
    }


PRODUCER = ["-a", "-1", "-X", "enable.idempotence=true", "-X", "linger.ms=5", "-X", "batch.size=1000000"]
PRODUCER += ["-X", "queue.buffering.max.messages=2000000", "-X", "queue.buffering.max.kbytes=262144"]


CACHE_MB = 8000


@contextlib.contextmanager
def used_memory():
    """Holds all memory but CACHE_MB, and yields what fills those with a file's pages. So every page that a broker gets was
    used before, as it is where a broker has run for a while. Free memory is another thing: a virtual machine gives it back
    to its host and gets it anew at the first touch, which was measured to cost ten times the write itself."""
    fields = dict(line.split(":") for line in pathlib.Path("/proc/meminfo").read_text().splitlines())
    spare = int(fields["MemAvailable"].split()[0]) // 1024 - CACHE_MB
    held = mmap.mmap(-1, max(1, spare) << 20)
    for at in range(0, len(held), mmap.PAGESIZE):
        held[at] = 1
    with tempfile.NamedTemporaryFile(dir=ARGS.dir, prefix="bench-fill-") as file:
        block = bytes(1 << 20)
        for _ in range(CACHE_MB):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())

        def fill():
            file.seek(0)
            while file.read(1 << 20):
                pass

        yield fill
    held.close()


def throughput(broker, size, codec, partitions, megabytes, results):
    name = broker.topic(f"bench-{size}-{codec}-{partitions}", partitions)
    count = megabytes * 1_000_000 // size
    row = f"{size} B, {codec}, {partitions} partition{'s' if partitions > 1 else ''}"
    produced = measure(broker, ["-P", "-t", name, "-s", str(size), "-c", str(count), "-z", codec, *PRODUCER], megabytes)
    results.setdefault((row, "produce"), {})[broker.name] = produced
    # Both brokers are read with the same batches in them: full ones. Those of the measurement are as long as the broker
    # made the producer wait.
    name = broker.topic(f"{name}-full", partitions)
    full = ["-X", "linger.ms=1000"]
    produced = measure(broker, ["-P", "-t", name, "-s", str(size), "-c", str(count), "-z", codec, *PRODUCER, *full], megabytes)
    parts = [word for part in range(partitions) for word in ("-p", str(part))]
    fetch = ["-C", "-t", name, *parts, "-c", str(count), "-o", "beginning"]
    fetch += ["-X", "fetch.message.max.bytes=4000000", "-X", "queued.max.messages.kbytes=262144"]
    results.setdefault((row, "fetch"), {})[broker.name] = measure(broker, fetch, megabytes) if produced else None


def latency(broker, seconds, results):
    """10,000 records/s of 100 B: from the call to the delivery report."""
    name = broker.topic("bench-latency", 1)
    with tempfile.NamedTemporaryFile("r") as file:
        count = 10_000 * seconds
        arguments = ["-P", "-t", name, "-s", "100", "-c", str(count), "-r", "10000", "-l", "-A", file.name, *PRODUCER]
        figures = measure(broker, arguments, count * 100 / 1e6)
        values = [float(line.split()[-1]) / 1000 for line in file if line.split() and line.split()[-1].isdigit()]
    if figures is None or len(values) < count / 2:
        print(f"{broker.name}: no latencies", file=sys.stderr)
        return
    # In the first second the client connects and asks who leads: half a second that is not the broker's.
    cut = statistics.quantiles(values[10_000:], n=1000)
    row = results.setdefault(("10,000 records/s of 100 B, acks=all, linger 5 ms", "latency"), {})
    row[broker.name] = {"p50 ms": cut[499], "p99 ms": cut[989], "p99.9 ms": cut[998]}
    broker.drop(name)


def idle(broker, results):
    if not ARGS.idle:
        return
    name = broker.topic("bench-idle", 1)
    rss_before = rss_mb(broker.pid)
    process = subprocess.Popen([ARGS.idle, broker.bootstrap, name, "1000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        if process.stdout.readline().strip() != b"ready":
            print(f"{broker.name}: no idle consumers", file=sys.stderr)
            return
        window = 5 if ARGS.quick else 15
        time.sleep(2)
        before = cpu_seconds(broker.pid)
        time.sleep(window)
        row = results.setdefault(("1,000 idle consumers, long polls of 500 ms", "idle"), {})
        row[broker.name] = {
            "CPU %": (cpu_seconds(broker.pid) - before) / window * 100,
            "RSS MB": rss_mb(broker.pid),
            "more MB": rss_mb(broker.pid) - rss_before,
        }
    finally:
        process.kill()
        process.wait()


def main():
    rows = [(1000, codec, partitions) for codec in ("none", "lz4") for partitions in (1, 8, 100)]
    rows += [(100, codec, partitions) for codec in ("none", "lz4") for partitions in (1, 8, 100)]
    if ARGS.quick:
        rows = [(1000, "none", 1), (1000, "lz4", 8), (100, "none", 8)]
    if ARGS.rows:
        rows = rows[: ARGS.rows]
    brokers = [("millstream", ()), ("kafka", ())]
    if not ARGS.quick:
        brokers.append(("kafka, flush each", ("log.flush.interval.messages=1",)))
    rounds = []
    with used_memory() as fill:
        for what, seconds in floor.floors(ARGS.dir).items():
            print(f"the kernel alone, CPU s/GB: {seconds:.2f}  {what}")
        p50, p99, most = floor.sync_ms(ARGS.dir, 3 if ARGS.quick else 15)
        print(f"the disk alone, 6 KB and fdatasync, 200 times a second: p50 {p50:.2f} ms, p99 {p99:.2f}, at most {most:.1f}")
        for _ in range(1 if ARGS.quick else ARGS.rounds):
            rounds.append({})
            run(brokers, rows, fill, rounds[-1])
    report({row: {name: middle([of.get(row, {}).get(name) for of in rounds]) for name in rounds[0][row]} for row in rounds[0]})


def middle(rounds):
    """The median of each figure."""
    rounds = [figures for figures in rounds if figures]
    if not rounds:
        return None
    return {
        what: statistics.median(of[what] for of in rounds) if isinstance(value, float) else value
        for what, value in rounds[-1].items()
    }


def run(brokers, rows, fill, results):
    for name, extra in brokers:
        if ARGS.only and name not in ARGS.only:
            continue
        # What the broker before it deleted is free memory now.
        fill()
        broker = Broker(name, ARGS.binary, extra)
        try:
            # A virtual machine that has not yet compiled its code is not what is measured.
            warm = broker.topic("bench-warm", 1)
            measure(broker, ["-P", "-t", warm, "-s", "1000", "-c", "200000", *PRODUCER], 200)
            measure(broker, ["-C", "-t", warm, "-p", "0", "-c", "200000", "-o", "beginning"], 200)
            for size, codec, partitions in rows:
                throughput(broker, size, codec, partitions, ARGS.mb, results)
            latency(broker, 5 if ARGS.quick else 15, results)
            idle(broker, results)
        finally:
            broker.stop()


def report(results):
    for (row, what), figures in results.items():
        print(f"\n{what}: {row}")
        ours = figures.get("millstream")
        for broker, values in figures.items():
            if values is None:
                print(f"  {broker:18} failed")
                continue
            text = "  ".join(f"{k} {v:9.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items())
            if ours and broker != "millstream":
                ratios = [f"{k} {ours[k] / values[k]:.2f}" for k in values if isinstance(values[k], float) and values[k] > 0]
                text += "\n" + " " * 20 + "millstream / this: " + ", ".join(ratios)
            print(f"  {broker:18} {text}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--client", required=True)
    parser.add_argument("--idle")
    parser.add_argument("--dir")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--mb", type=int, default=1000, help="megabytes per row")
    parser.add_argument("--rows", type=int, help="only the first rows")
    parser.add_argument("--rounds", type=int, default=3, help="all brokers that often, and the medians")
    parser.add_argument("--only", nargs="*", help="only these brokers")
    ARGS = parser.parse_args()
    main()
