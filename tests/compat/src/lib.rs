//! Real clients against the broker, and against Apache Kafka: see `tests/it` and `findings.md`.
