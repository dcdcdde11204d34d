//! Record values to Arrow columns and back. The only user of arrow's CSV and JSON readers and writers.
