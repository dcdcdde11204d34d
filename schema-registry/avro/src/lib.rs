//! Avro schemas as Java reads and writes them: text, fingerprints, compatibility, binary data.
