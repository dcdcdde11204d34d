"""Records what real clients send: a proxy between a client and a broker that keeps one request per API and version.

capture.py LISTEN UPSTREAM FOLDER CLIENT COMMAND...   runs COMMAND while it listens on port LISTEN and forwards to port
UPSTREAM, whose broker must advertise LISTEN. Writes FOLDER/<api>-v<version>-<client>.hex: the frame without its length.
The shortest frame of each kind is kept, and none that is longer than MAX_BYTES.
"""

import pathlib
import socket
import struct
import subprocess
import sys
import threading

MAX_BYTES = 2048
# Apache Kafka talks to itself through the proxy, too.
BROKERS = (b"broker-1-", b"AddPartitionsManager")
APIS = {
    0: "produce", 1: "fetch", 2: "list-offsets", 3: "metadata", 8: "offset-commit", 9: "offset-fetch",
    10: "find-coordinator", 11: "join-group", 12: "heartbeat", 13: "leave-group", 14: "sync-group",
    15: "describe-groups", 16: "list-groups", 17: "sasl-handshake", 18: "api-versions", 19: "create-topics",
    20: "delete-topics", 21: "delete-records", 22: "init-producer-id", 23: "offset-for-leader-epoch",
    24: "add-partitions-to-txn", 25: "add-offsets-to-txn", 26: "end-txn", 27: "write-txn-markers",
    28: "txn-offset-commit", 29: "describe-acls", 30: "create-acls", 31: "delete-acls", 32: "describe-configs",
    33: "alter-configs", 34: "alter-replica-log-dirs", 35: "describe-log-dirs", 36: "sasl-authenticate",
    37: "create-partitions", 42: "delete-groups", 43: "elect-leaders", 44: "incremental-alter-configs",
    45: "alter-partition-reassignments", 46: "list-partition-reassignments", 47: "offset-delete",
    48: "describe-client-quotas", 49: "alter-client-quotas", 50: "describe-user-scram-credentials",
    51: "alter-user-scram-credentials", 55: "describe-quorum", 57: "update-features", 60: "describe-cluster",
    61: "describe-producers", 65: "describe-transactions", 66: "list-transactions", 68: "consumer-group-heartbeat",
    69: "consumer-group-describe", 71: "get-telemetry-subscriptions", 72: "push-telemetry", 74: "list-config-resources",
    75: "describe-topic-partitions",
}
seen = {}
lock = threading.Lock()


def keep(frame):
    key, version, _, name_length = struct.unpack(">hhih", frame[:10])
    if frame[10 : 10 + max(name_length, 0)].startswith(BROKERS):
        return
    with lock:
        known = seen.get((key, version))
        if key in APIS and len(frame) <= MAX_BYTES and (known is None or len(frame) < len(known)):
            seen[key, version] = frame


def exactly(stream, count):
    data = bytearray()
    while len(data) < count:
        more = stream.recv(count - len(data))
        if not more:
            return None
        data += more
    return bytes(data)


def requests(client, broker):
    while (size := exactly(client, 4)) and (frame := exactly(client, struct.unpack(">i", size)[0])):
        keep(frame)
        broker.sendall(size + frame)


def answers(broker, client):
    while data := broker.recv(1 << 16):
        client.sendall(data)


def pump(copy, source, sink):
    try:
        copy(source, sink)
    except OSError:
        pass  # one side is gone: so is the other
    for side in (source, sink):
        try:
            side.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(listener, upstream):
    while True:
        client, _ = listener.accept()
        broker = socket.create_connection(("127.0.0.1", upstream))
        threading.Thread(target=pump, args=(requests, client, broker), daemon=True).start()
        threading.Thread(target=pump, args=(answers, broker, client), daemon=True).start()


def main():
    listen, upstream, folder, name, *command = sys.argv[1:]
    listener = socket.create_server(("127.0.0.1", int(listen)), backlog=256)
    threading.Thread(target=serve, args=(listener, int(upstream)), daemon=True).start()
    subprocess.run([*command, f"127.0.0.1:{listen}"], check=True, timeout=600, stderr=subprocess.DEVNULL)
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for (key, version), frame in sorted(seen.items()):
        (folder / f"{APIS[key]}-v{version}-{name}.hex").write_text(frame.hex() + "\n")
    print(f"{name}: {len(seen)} requests")


main()
