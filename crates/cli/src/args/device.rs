//! The verbs that look at a device.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Whether a device computes what the CPU computes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  npair gpu-check --device cuda
  npair gpu-check --device cuda --only networks
  npair gpu-check --device metal --json

Exit code 4 if anything is off by more than rounding.")]
pub struct GpuCheck {
    /// A part of the checks.
    #[arg(long, value_enum, value_name = "PART")]
    pub only: Option<CheckPart>,
}

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckPart {
    /// Reductions of the similarity matrix, and their gradients.
    Matrices,
    /// Nearest neighbours and hardest pairs.
    Searches,
    /// Networks, and their gradients.
    Networks,
}

/// What this machine does, next to the last run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  npair bench                                   this machine's processor
  npair bench --device cuda                     and its GPU
  npair bench --device cuda --only ResNet-50
  npair bench --device cuda --json --record results/bench.jsonl

Limits are measured first: a copy in memory and matrix products; \"of limit\" is the part of the product's rate that N-pair-mc
and top-k reach, counting the operations that they need. Compare runs of one machine only, with nothing else running.")]
pub struct Bench {
    /// Small sizes, to see that everything runs.
    #[arg(long)]
    pub quick: bool,
    /// Only cases whose name has this: "training step", ResNet-50, N-pair-mc.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub only: String,
    /// Where runs are recorded, a line each [default: npair/bench.jsonl in XDG_STATE_HOME or ~/.local/state].
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}
