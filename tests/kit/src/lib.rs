//! The crash harness and helpers for tests that run processes.
