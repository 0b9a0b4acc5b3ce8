use crate::header::{Header, read};
use crate::{Collective, Error, Result, Tag};
use mpi::datatype::PartitionMut;
use mpi::environment::{Universe, initialize_with_threading, processor_name};
use mpi::point_to_point::send_receive_into;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use mpi::{Count, Threading};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most bytes of one message: lengths are 32-bit numbers to MPI.
const MESSAGE: usize = 1 << 30;

/// Ranks that are processes, which `mpirun` or Slurm's `srun` has started.
///
/// Everything goes through the world's communicator. Every call begins with a few bytes to each rank, so that ranks out of step are told so before
/// anybody waits for bytes that do not come.
///
/// A rank that ends without [`finish`](Self::finish) (an error, a panic, a kill) ends all: nobody waits for it, and the launcher's exit
/// status is not 0.
///
/// # Source
/// MPI: A Message-Passing Interface Standard, version 3.1, chapters 3, 5 and 8.
pub struct Mpi {
    rank: usize,
    ranks: usize,
    /// Names of the ranks' machines.
    names: Vec<Vec<u8>>,
    /// Held for the length of a call: MPI is spoken to by one thread at a time.
    state: Mutex<State>,
}

struct State {
    universe: Option<Universe>,
    broken: Option<Error>,
}

impl Mpi {
    /// Joins the others that the launcher has started; waits for them.
    ///
    /// # Errors
    /// [`Error::Transport`] if this process has joined before, or the library of MPI does not allow calls from several threads in turn.
    pub fn start() -> Result<Self> {
        let again = || Error::Transport("this process has joined MPI before; join once, and share it".to_owned());
        let (universe, threading) = initialize_with_threading(Threading::Serialized).ok_or_else(again)?;
        if threading < Threading::Serialized {
            let why = "this MPI library allows calls from the first thread alone; take one with MPI_THREAD_SERIALIZED";
            return Err(Error::Transport(why.to_owned()));
        }
        let world = universe.world();
        let (rank, ranks) = (world.rank() as usize, world.size() as usize);
        let state = Mutex::new(State { universe: Some(universe), broken: None });
        let mut own = Self { rank, ranks, names: Vec::new(), state };
        let name = processor_name().map_err(|_| Error::Transport("the machine's name is no text".to_owned()))?;
        own.names = own.all_gather(Tag { what: "names of machines", number: 0 }, name.as_bytes())?;
        Ok(own)
    }

    /// How many ranks are on this rank's machine, itself among them.
    pub fn ranks_here(&self) -> usize {
        self.names.iter().filter(|name| **name == self.names[self.rank]).count()
    }

    /// This rank's number among those on its machine, from 0.
    pub fn rank_here(&self) -> usize {
        self.names[..self.rank].iter().filter(|name| **name == self.names[self.rank]).count()
    }

    /// How many machines there are.
    pub fn machines(&self) -> usize {
        self.names.iter().collect::<std::collections::BTreeSet<_>>().len()
    }

    /// Ends together with the others. No call succeeds afterwards.
    ///
    /// # Errors
    /// As [`Collective::all_to_all`].
    pub fn finish(&self) -> Result<()> {
        self.barrier(Tag { what: "end", number: 0 })?;
        let mut state = self.enter();
        state.broken = Some(Error::Transport("the ranks have parted".to_owned()));
        state.universe = None;
        Ok(())
    }

    fn enter(&self) -> MutexGuard<'_, State> {
        // After a panic in a call nobody goes on: `Drop` ends all.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everybody what is done and how much will come, and works out what all have told: the lengths of what comes from each rank, and
    /// the largest of all.
    fn meet(&self, world: &SimpleCommunicator, tag: Tag, lengths: &[usize]) -> Result<(Vec<usize>, usize)> {
        let most = lengths.iter().copied().max().unwrap_or(0);
        let told: Vec<u8> = lengths.iter().flat_map(|&length| Header { tag, length, most }.bytes()).collect();
        let mut heard = vec![0; told.len()];
        world.all_to_all_into(&told[..], &mut heard[..]);
        let mut heard: Vec<_> = heard.chunks_exact(Header::BYTES).map(read).collect();
        let own = Header { tag, length: 0, most }.doing();
        if let Some(rank) = heard.iter().position(|told| told.doing != own) {
            let theirs = heard.swap_remove(rank).doing;
            return Err(Error::OutOfStep { own_rank: self.rank, own, rank, theirs });
        }
        let most = heard.iter().map(|told| told.most).max().unwrap_or(0);
        Ok((heard.iter().map(|told| told.length).collect(), most))
    }

    /// Does `work` unless a call has failed before.
    fn call<T>(&self, work: impl FnOnce(&SimpleCommunicator) -> Result<T>) -> Result<T> {
        let mut state = self.enter();
        if let Some(error) = &state.broken {
            return Err(error.clone());
        }
        let gone = || Error::Transport("the ranks have parted".to_owned());
        let world = state.universe.as_ref().ok_or_else(gone)?.world();
        let done = work(&world);
        state.broken = done.as_ref().err().cloned();
        done
    }
}

/// The part of some bytes that goes in message `round`; empty after their end.
fn message(len: usize, round: usize) -> std::ops::Range<usize> {
    (round * MESSAGE).min(len)..((round + 1) * MESSAGE).min(len)
}

impl Collective for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.ranks
    }

    fn all_to_all(&self, tag: Tag, mut parts: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        assert_eq!(parts.len(), self.ranks, "a part for every rank");
        self.call(|world| {
            let lengths: Vec<usize> = parts.iter().map(Vec::len).collect();
            let (lengths, most) = self.meet(world, tag, &lengths)?;
            let mut given: Vec<Vec<u8>> = vec![Vec::new(); self.ranks];
            given[self.rank] = std::mem::take(&mut parts[self.rank]);
            for by in 1..self.ranks {
                // Everybody sends to the one `by` places on, and hears from the one as far back.
                let (to, from) = ((self.rank + by) % self.ranks, (self.rank + self.ranks - by) % self.ranks);
                let sent = std::mem::take(&mut parts[to]);
                let mut heard = vec![0; lengths[from]];
                let (to, source) = (world.process_at_rank(to as i32), world.process_at_rank(from as i32));
                for round in 0..most.div_ceil(MESSAGE) {
                    let range = message(heard.len(), round);
                    send_receive_into(&sent[message(sent.len(), round)], &to, &mut heard[range], &source);
                }
                given[from] = heard;
            }
            Ok(given)
        })
    }

    fn broadcast(&self, tag: Tag, root: usize, mut own: Vec<u8>) -> Result<Vec<u8>> {
        self.check_root(root)?;
        self.call(|world| {
            let length = if self.rank == root { own.len() } else { 0 };
            let (lengths, most) = self.meet(world, tag, &vec![length; self.ranks])?;
            own.resize(lengths[root], 0);
            let from = world.process_at_rank(root as i32);
            for round in 0..most.div_ceil(MESSAGE) {
                let range = message(own.len(), round);
                from.broadcast_into(&mut own[range]);
            }
            Ok(own)
        })
    }

    fn all_gather(&self, tag: Tag, own: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.call(|world| {
            let (lengths, most) = self.meet(world, tag, &vec![own.len(); self.ranks])?;
            let mut all: Vec<Vec<u8>> = lengths.iter().map(|&length| Vec::with_capacity(length)).collect();
            // All that comes in one round is one buffer, whose places are 32-bit numbers too.
            let each = MESSAGE / self.ranks;
            for round in 0..most.div_ceil(each) {
                let part = |len: usize| (round * each).min(len)..((round + 1) * each).min(len);
                let counts: Vec<Count> = lengths.iter().map(|&length| part(length).len() as Count).collect();
                let places: Vec<Count> = counts.iter().scan(0, |at, &n| Some(std::mem::replace(at, *at + n))).collect();
                let mut heard = vec![0u8; counts.iter().map(|&n| n as usize).sum()];
                let mut into = PartitionMut::new(&mut heard[..], &counts[..], &places[..]);
                world.all_gather_varcount_into(&own[part(own.len())], &mut into);
                for (rank, all) in all.iter_mut().enumerate() {
                    all.extend_from_slice(&heard[places[rank] as usize..][..counts[rank] as usize]);
                }
            }
            Ok(all)
        })
    }
}

impl Drop for Mpi {
    /// Nobody waits for a rank that ends early.
    fn drop(&mut self) {
        if let Some(universe) = self.enter().universe.take() {
            universe.world().abort(1);
        }
    }
}

impl fmt::Debug for Mpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mpi").field("rank", &self.rank).field("ranks", &self.ranks).finish_non_exhaustive()
    }
}
