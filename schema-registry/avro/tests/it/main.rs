//! What needs more than one module: the real Java library beside ours, properties, and texts that mean harm.

mod differential;
mod generate;
mod hostile;
mod mutate;
mod oracle;
mod properties;
mod table;
