/// Why ranks cannot go on together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Ranks do different things: one of them took another way.
    #[error(
        "ranks are out of step: rank {rank} is at {theirs} where rank {own_rank} is at {own}; all ranks need the same settings, data and \
         version"
    )]
    OutOfStep {
        /// The rank that found it.
        own_rank: usize,
        /// What it does.
        own: String,
        /// The other one.
        rank: usize,
        /// What that does.
        theirs: String,
    },
    /// A rank has ended while others wait for it.
    #[error("rank {rank} has ended: its own output says why; go on with the run from its last checkpoint")]
    Lost {
        /// Which.
        rank: usize,
    },
    /// Bytes that are no values of the type, or not as many as were expected: ranks have other versions.
    #[error("rank {rank} sent {got} bytes where {want} were expected; all ranks need the same version and settings")]
    Length {
        /// Who sent them.
        rank: usize,
        /// How many.
        got: usize,
        /// How many had to come.
        want: usize,
    },
    /// A setting is outside its range.
    #[error("{setting} is {got}, but {why}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        got: usize,
        /// What it has to be.
        why: String,
    },
    /// What carries the messages failed.
    #[error("ranks cannot speak to each other: {0}")]
    Transport(String),
}

/// The result of what ranks do together.
pub type Result<T> = std::result::Result<T, Error>;
