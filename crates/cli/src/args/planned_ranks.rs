use clap::Args;
use std::num::NonZeroUsize;

/// What a step costs on several ranks: measured here, where it is not said.
#[derive(Debug, Args)]
#[command(next_help_heading = "On several ranks")]
pub struct PlannedRanks {
    /// Show what a step costs on so many ranks, and on fewer.
    #[arg(long, value_name = "RANKS")]
    pub ranks: Option<NonZeroUsize>,
    /// Pairs of a batch; as the plan has it without.
    #[arg(long, value_name = "N", requires = "ranks")]
    pub pairs: Option<usize>,
    /// Width of an embedding; as the plan has it without.
    #[arg(long, value_name = "D", requires = "ranks")]
    pub width: Option<usize>,
    /// Values of the network that train; as the plan has it without.
    #[arg(long, value_name = "P", requires = "ranks")]
    pub parameters: Option<usize>,
    /// Seconds in which a rank embeds an example and leads its gradient back; tried on --data without.
    #[arg(long, value_name = "SECONDS", requires = "ranks")]
    pub example_seconds: Option<f64>,
    /// 10^9 operations a second of a rank in the similarity matrix; tried here without.
    #[arg(long, value_name = "GFLOPS", requires = "ranks")]
    pub loss_gflops: Option<f64>,
    /// 10^9 bytes a second into and out of a rank.
    #[arg(long, value_name = "GBYTES", default_value_t = 1.25, requires = "ranks")]
    pub link_gbytes: f64,
    /// 10^-6 seconds until a message arrives.
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 10., requires = "ranks")]
    pub latency_us: f64,
}
