//! The broker and many clients under a virtual clock, with seeded faults: see `tests/it`.
