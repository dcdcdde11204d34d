//! Faults against the broker as its users run it: see `tests/it`.
