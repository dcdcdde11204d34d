//! The in-process implementation of the log.
