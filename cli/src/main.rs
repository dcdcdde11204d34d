//! Connector and stream-processing runtime with an integrated Kafka-compatible log.
fn main() {}
