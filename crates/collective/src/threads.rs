use crate::{Collective, Error, Result, Tag};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Ranks that are threads of one process.
#[derive(Debug)]
pub struct Threads;

impl Threads {
    /// Runs `work` on so many threads at the same time, each with its rank; what they return comes in the order of the ranks. A thread that
    /// returns while others wait for it ends their call with [`Error::Lost`].
    ///
    /// # Panics
    /// With the panic of a thread, after all have ended.
    pub fn run<R: Send>(ranks: usize, work: impl Fn(&ThreadRank) -> R + Sync) -> Vec<R> {
        let all = Self::ranks(ranks);
        let work = &work;
        std::thread::scope(|scope| {
            // A rank is dropped by its thread, so that the others hear of its end, a panic too.
            let start = |rank: ThreadRank| scope.spawn(move || work(&{ rank }));
            let started: Vec<_> = all.into_iter().map(start).collect();
            let ended: Vec<_> = started.into_iter().map(|thread| thread.join()).collect();
            ended.into_iter().map(|end| end.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    }

    /// So many ranks, for threads that somebody else starts.
    pub fn ranks(ranks: usize) -> Vec<ThreadRank> {
        let room = Arc::new(Room { meeting: Mutex::new(Meeting::new(ranks)), changed: Condvar::new() });
        (0..ranks).map(|rank| ThreadRank { rank, ranks, room: Arc::clone(&room) }).collect()
    }
}

/// A rank that is a thread.
#[derive(Debug)]
pub struct ThreadRank {
    rank: usize,
    ranks: usize,
    room: Arc<Room>,
}

#[derive(Debug)]
struct Room {
    meeting: Mutex<Meeting>,
    changed: Condvar,
}

/// What the ranks have brought to the call that they make now.
#[derive(Debug)]
struct Meeting {
    /// Of every rank that is here: what it does, and what it gives to each.
    brought: Vec<Option<(Tag, Vec<Vec<u8>>)>>,
    /// Ranks that have what is theirs; all have to leave before the next call.
    left: usize,
    /// Whether all are here, and do the same.
    complete: bool,
    /// Why no call succeeds any more: for every rank.
    broken: Option<Vec<Error>>,
}

impl Meeting {
    fn new(ranks: usize) -> Self {
        Self { brought: (0..ranks).map(|_| None).collect(), left: 0, complete: false, broken: None }
    }

    /// All are here: nobody goes on if somebody is elsewhere.
    fn close(&mut self) {
        let tags: Vec<Tag> = self.brought.iter().flatten().map(|(tag, _)| *tag).collect();
        let Some(rank) = tags.iter().position(|tag| *tag != tags[0]) else {
            self.complete = true;
            return;
        };
        let of = |own_rank: usize| {
            // Every rank hears of another one that is elsewhere.
            let rank = if tags[own_rank] == tags[rank] { 0 } else { rank };
            let (own, theirs) = (tags[own_rank].to_string(), tags[rank].to_string());
            Error::OutOfStep { own_rank, own, rank, theirs }
        };
        self.broken = Some((0..tags.len()).map(of).collect());
    }

    /// What is this rank's of what all brought.
    fn take(&mut self, rank: usize) -> Vec<Vec<u8>> {
        let given = self.brought.iter_mut().flatten().map(|(_, parts)| std::mem::take(&mut parts[rank])).collect();
        self.left += 1;
        if self.left == self.brought.len() {
            let broken = self.broken.take();
            *self = Self { broken, ..Self::new(self.brought.len()) };
        }
        given
    }
}

impl Room {
    fn enter(&self) -> MutexGuard<'_, Meeting> {
        // A panic of another rank has left nothing half done: it is told by `Drop`.
        self.meeting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, meeting: MutexGuard<'a, Meeting>) -> MutexGuard<'a, Meeting> {
        self.changed.wait(meeting).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collective for ThreadRank {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.ranks
    }

    fn all_to_all(&self, tag: Tag, parts: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        assert_eq!(parts.len(), self.ranks, "a part for every rank");
        let mut meeting = self.room.enter();
        // Others may still be leaving the last one.
        while meeting.complete {
            meeting = self.room.wait(meeting);
        }
        if meeting.broken.is_none() {
            meeting.brought[self.rank] = Some((tag, parts));
            if meeting.brought.iter().all(Option::is_some) {
                meeting.close();
                self.room.changed.notify_all();
            }
        }
        while !meeting.complete {
            if let Some(errors) = &meeting.broken {
                return Err(errors[self.rank].clone());
            }
            meeting = self.room.wait(meeting);
        }
        let given = meeting.take(self.rank);
        self.room.changed.notify_all();
        Ok(given)
    }
}

impl Drop for ThreadRank {
    /// Nobody waits for a rank that has ended. Those who have met already leave with what they came for.
    fn drop(&mut self) {
        let mut meeting = self.room.enter();
        if meeting.broken.is_none() {
            let lost = Error::Lost { rank: self.rank };
            meeting.broken = Some(vec![lost; self.ranks]);
        }
        self.room.changed.notify_all();
    }
}
