//! The Kafka wire: frames, messages, record batches, error codes.
