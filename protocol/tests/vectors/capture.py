"""Produces with librdkafka through a broker and keeps the record batches it sent, as a raw fetch answers them.

    pip install confluent-kafka
    python protocol/tests/vectors/capture.py 127.0.0.1:9092

The broker changes nothing but base offset and leader epoch, which the checksum does not cover. The records are those of
`make.py` without nulls in headers: they are in `tests/it/main.rs`.
"""

import socket
import struct
import sys
from pathlib import Path

from confluent_kafka import Producer

HERE = Path(__file__).parent
BROKER = sys.argv[1]


def produce(topic, codec):
    config = {"bootstrap.servers": BROKER, "compression.type": codec, "linger.ms": 500, "enable.idempotence": True}
    producer = Producer(config)
    for index in range(40):
        key = None if index % 3 == 0 else b"key %d" % index
        value = None if index % 5 == 0 else b"value %d " % index * (index % 7)
        headers = [("name", b"header %d" % index), ("none", None)] if index % 4 == 0 else []
        producer.produce(topic, value, key, timestamp=1_357_000_000_000 + index * 1000, headers=headers)
    assert producer.flush(30) == 0


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def read_exact(stream, count):
    data = b""
    while len(data) < count:
        data += stream.recv(count - len(data))
    return data


def fetch(topic):
    """Fetch v4 of partition 0 from offset 0."""
    body = struct.pack(">hhi", 1, 4, 7) + text("capture")
    body += struct.pack(">iiiibi", -1, 0, 0, 1 << 20, 0, 1) + text(topic)
    body += struct.pack(">iiqi", 1, 0, 0, 1 << 20)
    host, port = BROKER.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as stream:
        stream.sendall(struct.pack(">i", len(body)) + body)
        (length,) = struct.unpack(">i", read_exact(stream, 4))
        answer = read_exact(stream, length)
    at = 4 + 4 + 4 + 2 + len(topic) + 4 + 4
    error, _high_watermark, _last_stable, aborted, size = struct.unpack_from(">hqqii", answer, at)
    assert error == 0 and aborted <= 0, (error, aborted)
    records = answer[at + 26 : at + 26 + size]
    assert len(records) == size
    return records


for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
    produce(f"capture-{codec}", codec)
    (HERE / f"librdkafka-{codec}.bin").write_bytes(fetch(f"capture-{codec}"))
