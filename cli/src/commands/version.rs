use std::env::consts;

use serde::Serialize;

use crate::{Context, exit::Exit};

/// Print the version of this binary
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Version {
    name: &'static str,
    version: &'static str,
    os: &'static str,
    arch: &'static str,
}

impl Args {
    pub(crate) fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let version = Version {
            name: "millstream",
            version: env!("CARGO_PKG_VERSION"),
            os: consts::OS,
            arch: consts::ARCH,
        };
        if context.output.is_json() {
            context.output.json(&version)?;
        } else {
            let Version {
                name,
                version,
                os,
                arch,
            } = version;
            context
                .output
                .line(format_args!("{name} {version} ({os}-{arch})"))?;
        }
        Ok(Exit::Ok)
    }
}
