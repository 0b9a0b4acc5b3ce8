//! Processes that a launcher (`mpirun`, `srun`) has started for one run.

use crate::args::{Command, Npair};
use crate::{out, source};
use anyhow::Result;
use npair_recipe::Device;
use npair_train::Collective;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Where launchers write how many processes they have started: OpenMPI; MPICH, Intel MPI and Slurm by PMI; Slurm, however it does.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];
/// Where they write which of them a process is.
const RANKS: [&str; 3] = ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"];

/// What this process is among those that were started with it.
#[derive(Debug, Default)]
pub struct Launched {
    #[cfg(feature = "mpi")]
    mpi: Option<Arc<npair_collective::Mpi>>,
}

impl Launched {
    /// Joins the others, if a launcher has started several. Only the first one prints.
    ///
    /// # Errors
    /// If the verb is one that a single process does, or this program was built without what carries messages.
    pub fn join(args: &Npair) -> Result<Self> {
        let number = |name: &&str| std::env::var(name).ok()?.parse::<usize>().ok();
        let started = SIZES.iter().find_map(number).unwrap_or(1);
        if started < 2 {
            return Ok(Self::default());
        }
        if !matches!(args.command, Command::Train(_) | Command::Embed(_)) {
            out::only_from(first());
            let why =
                format!("{started} processes were started, but one does this: leave out the launcher (mpirun, srun)");
            return Err(source::usage("ranks", why));
        }
        Self::join_others(started)
    }

    #[cfg(not(feature = "mpi"))]
    fn join_others(started: usize) -> Result<Self> {
        out::only_from(first());
        let why = format!(
            "{started} processes were started, but this program was built without MPI: build it with --features mpi (needs an MPI library \
             with its headers, and libclang), or leave out the launcher"
        );
        Err(source::usage("ranks", why))
    }

    #[cfg(feature = "mpi")]
    fn join_others(started: usize) -> Result<Self> {
        let mpi = npair_collective::Mpi::start().map_err(npair_train::Error::from)?;
        if mpi.ranks() == 1 {
            out::only_from(first());
            // Each of them would begin the same run.
            mpi.finish().map_err(npair_train::Error::from)?;
            let why = format!(
                "{started} processes were started that MPI knows nothing of: start them with mpirun, or with srun --mpi=pmix (or pmi2)"
            );
            return Err(source::usage("ranks", why));
        }
        out::only_from(mpi.rank() == 0);
        Ok(Self { mpi: Some(Arc::new(mpi)) })
    }

    /// Threads of this process unless the user has said how many: the machine's, shared by the ranks on it.
    pub fn threads(&self) -> Option<NonZeroUsize> {
        #[cfg(feature = "mpi")]
        if let Some(mpi) = &self.mpi {
            let all = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
            return NonZeroUsize::new((all / mpi.ranks_here()).max(1));
        }
        None
    }

    /// The ranks that train together; none for one process. On CUDA devices every rank of a machine has one of its own.
    ///
    /// # Errors
    /// Those of the transport.
    pub fn ranks(&self, device: Option<Device>) -> Result<Option<Arc<dyn Collective>>> {
        #[cfg(feature = "nccl")]
        if let (Some(mpi), Some(Device::Cuda(gpu))) = (&self.mpi, device) {
            let below: Arc<dyn Collective> = Arc::<npair_collective::Mpi>::clone(mpi);
            return Ok(Some(Arc::new(npair_collective::Nccl::start(below, gpu).map_err(npair_train::Error::from)?)));
        }
        let _ = device;
        #[cfg(feature = "mpi")]
        if let Some(mpi) = &self.mpi {
            return Ok(Some(Arc::<npair_collective::Mpi>::clone(mpi)));
        }
        Ok(None)
    }

    /// The device of this rank: of several on one machine with GPUs each has its own, from the one that was asked for on.
    pub fn device(&self, asked: Option<Device>) -> Option<Device> {
        #[cfg(feature = "mpi")]
        if let (Some(mpi), Some(Device::Cuda(first))) = (&self.mpi, asked) {
            return Some(Device::Cuda(first + mpi.rank_here()));
        }
        asked
    }

    /// A line about who takes part.
    pub fn introduce(&self) -> Option<String> {
        #[cfg(feature = "mpi")]
        if let Some(mpi) = &self.mpi {
            let threads = rayon::current_num_threads();
            let machines = mpi.machines();
            let (s, t) = (if machines == 1 { "" } else { "s" }, if threads == 1 { "" } else { "s" });
            return Some(format!(
                "{} ranks on {machines} machine{s}, {threads} thread{t} each on this one",
                mpi.ranks()
            ));
        }
        None
    }

    /// Parts from the others, after all have done their work. Whoever ends without it ends them all.
    ///
    /// # Errors
    /// Those of the transport.
    pub fn part(&self) -> Result<()> {
        #[cfg(feature = "mpi")]
        if let Some(mpi) = &self.mpi {
            mpi.finish().map_err(npair_train::Error::from)?;
        }
        Ok(())
    }
}

/// Whether this is the first process, as far as the launcher says.
fn first() -> bool {
    RANKS.iter().find_map(|name| std::env::var(name).ok()).is_none_or(|rank| rank == "0")
}
