//! The log engine: write-ahead log, segments, recovery.
