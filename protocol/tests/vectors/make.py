"""Writes record batches with the builders of kafka-python, so that our reader meets bytes that we did not write.

    pip install kafka-python lz4 python-snappy zstandard
    python protocol/tests/vectors/make.py

The same records are in `tests/it/main.rs`.
"""

from pathlib import Path

from kafka.record.default_records import DefaultRecordBatchBuilder

HERE = Path(__file__).parent
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def build(codec, **producer):
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=producer.get("is_transactional", False),
        producer_id=producer.get("producer_id", -1),
        producer_epoch=producer.get("producer_epoch", -1),
        base_sequence=producer.get("base_sequence", -1),
        batch_size=1 << 20,
    )
    for index in range(40):
        key = None if index % 3 == 0 else b"key %d" % index
        value = None if index % 5 == 0 else b"value %d " % index * (index % 7)
        headers = [("name", b"header %d" % index), ("none", None)] if index % 4 == 0 else []
        builder.append(index, timestamp=1_357_000_000_000 + index * 1000, key=key, value=value, headers=headers)
    return bytes(builder.build())


for name, codec in CODECS.items():
    (HERE / f"kafka-python-{name}.bin").write_bytes(build(codec))
(HERE / "kafka-python-transactional.bin").write_bytes(
    build(0, is_transactional=True, producer_id=7001, producer_epoch=3, base_sequence=120)
)
