//! What needs more than one module: the real Java library beside ours, properties, and texts that mean harm.

#![expect(
    clippy::print_stdout,
    reason = "what was compared and what is skipped is said aloud"
)]

mod differential;
mod generate;
mod hostile;
mod mutate;
mod oracle;
mod properties;
mod table;
