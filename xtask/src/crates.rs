//! `cargo xtask crates`: the members of the workspace.

use crate::tree::{self, Metadata};
use anyhow::Result;
use serde::Serialize;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// As one line of JSON, for the CI matrix.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Member {
    #[serde(rename = "crate")]
    name: String,
    path: String,
}

pub fn run(args: &Args) -> Result<()> {
    let root = tree::root()?;
    let packages = Metadata::read(&root)?.packages;
    let members: Vec<Member> =
        packages.iter().map(|p| Member { name: p.name.clone(), path: p.folder(&root) }).collect();
    if args.json {
        println!("{}", serde_json::to_string(&members)?);
    } else {
        members.iter().for_each(|m| println!("{:<20} {}", m.name, m.path));
    }
    Ok(())
}
