//! The broker and its Kafka-compatible port.
