//! The list of built-in connectors.
