use clap::{Args, Parser, ValueEnum};

use crate::commands::Command;

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed; stderr says why (also: the pipeline file has problems)
  2    wrong command line
  3    a preview shows changes that were not made (`group reset` or `offsets reset` without --execute)
  130  a second Ctrl-C cut a graceful stop short

Data goes to stdout, everything else to stderr. NO_COLOR switches colours off.";

/// Connectors and stream processing on an integrated, Kafka-compatible log.
#[derive(Parser, Debug)]
#[command(name = "millstream", version, about, after_help = EXIT_CODES, max_term_width = 110)]
#[command(
    arg_required_else_help = true,
    propagate_version = false,
    disable_version_flag = false
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// How to print data on stdout
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        help_heading = "Global options"
    )]
    pub(crate) output: Format,

    /// What to log on stderr: error, warn, info, debug, trace, or directives as in RUST_LOG [default: RUST_LOG, else info for `broker serve` and `registry serve` and warn for the rest]
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Global options")]
    pub(crate) log_level: Option<String>,
}

#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people: tables and lines
    #[default]
    Table,
    /// For programs
    Json,
}
