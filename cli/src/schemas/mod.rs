//! Schema registries: one of our own on a port, and any over HTTP.
//!
//! - [`port`]: the port of a registry on the log of this process;
//! - [`checks`]: the same, for the broker that holds records against its schemas;
//! - [`at`]: which registry a command asks;
//! - [`client`]: asking it;
//! - [`local`]: schemas in files, and the comparison that needs no registry;
//! - [`in_process`], [`remote`]: both, as formats ask for schemas; what a pipeline asks before it starts;
//! - [`avro`]: the registry of commands that read and write Avro;
//! - [`diff`]: what has changed between two schemas;
//! - [`usage`]: which schemas occur where in a log.

pub(crate) mod at;
pub(crate) mod avro;
pub(crate) mod checks;
pub(crate) mod client;
pub(crate) mod diff;
pub(crate) mod in_process;
pub(crate) mod local;
pub(crate) mod port;
pub(crate) mod remote;
pub(crate) mod usage;
