use crate::{Collective, Error, Result, Tag, gather_values};
use cudarc::driver::{CudaContext, CudaSlice, CudaStream};
use cudarc::nccl::{Comm, Id};
use std::fmt::Debug;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Ranks with a GPU each, whose bytes go from GPU to GPU by NCCL.
///
/// Other ranks carry what is small: who does what, and how many bytes will come. So ranks that are out of step are told so, and a rank that ends
/// is noticed, by the ranks below; NCCL carries the bytes themselves.
///
/// # Source
/// NVIDIA Collective Communications Library, "Point-to-point communication" (all-to-all as grouped sends and receives).
#[derive(Debug)]
pub struct Nccl {
    below: Arc<dyn Collective>,
    /// To the thread that has the communicator, which must not change threads; none comes back after an error.
    carrier: Mutex<Carrier>,
}

#[derive(Debug)]
struct Carrier {
    give: Sender<Exchange>,
    take: Receiver<Result<Vec<Vec<u8>>>>,
}

/// What goes to every rank, and how much comes from each; the rank's own part stays.
struct Exchange {
    parts: Vec<Vec<u8>>,
    lengths: Vec<u64>,
}

impl Nccl {
    /// Joins the ranks below with a GPU of this machine each, counted from 0; waits for all.
    ///
    /// # Errors
    /// [`Error::Transport`] if the GPU or NCCL cannot be had, and those of the ranks below.
    pub fn start(below: Arc<dyn Collective>, gpu: usize) -> Result<Self> {
        let tag = Tag { what: "NCCL's address", number: 0 };
        let id = match below.rank() {
            0 => Id::new().map_err(|e| failed("an address of NCCL cannot be had", e.0))?.internal().to_vec(),
            _ => Vec::new(),
        };
        let bytes: Vec<u8> = id.iter().map(|byte| byte.to_ne_bytes()[0]).collect();
        let heard = below.broadcast(tag, 0, bytes)?;
        let id: Vec<_> = heard.iter().map(|byte| std::ffi::c_char::from_ne_bytes([*byte])).collect();
        let got = heard.len();
        let id = id.try_into().map_err(|_| Error::Length { rank: 0, got, want: size_of::<Id>() })?;
        let (give, exchanges) = channel();
        let (answers, take) = channel();
        let (rank, ranks) = (below.rank(), below.ranks());
        let carry = move || match Gpu::open(gpu, rank, ranks, Id::uninit(id)) {
            Err(error) => drop(answers.send(Err(error))),
            Ok(own) => {
                // The first answer says that all are there.
                let mut heard = answers.send(Ok(Vec::new())).is_ok();
                while heard && let Ok(exchange) = exchanges.recv() {
                    heard = answers.send(own.exchange(exchange)).is_ok();
                }
            }
        };
        let thread = std::thread::Builder::new().name("nccl".to_owned());
        thread.spawn(carry).map_err(|e| failed("a thread for NCCL cannot be had", e))?;
        let carrier = Carrier { give, take };
        carrier.answer()?;
        Ok(Self { below, carrier: Mutex::new(carrier) })
    }
}

impl Carrier {
    fn answer(&self) -> Result<Vec<Vec<u8>>> {
        self.take.recv().unwrap_or_else(|_| Err(Error::Transport("NCCL's thread has ended".to_owned())))
    }
}

impl Collective for Nccl {
    fn rank(&self) -> usize {
        self.below.rank()
    }

    fn ranks(&self) -> usize {
        self.below.ranks()
    }

    fn all_to_all(&self, tag: Tag, parts: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        assert_eq!(parts.len(), self.ranks(), "a part for every rank");
        // Held over both calls, so that two threads of a rank do not mix theirs.
        let carrier = self.carrier.lock().unwrap_or_else(PoisonError::into_inner);
        let told: Vec<u64> = parts.iter().map(|part| part.len() as u64).collect();
        // What every rank sends to each; this rank's share of that is a column.
        let told = gather_values(self.below.as_ref(), tag, &told)?;
        let lengths = told.iter().map(|to| to.get(self.rank()).copied().unwrap_or(0)).collect();
        let gone = |_| Error::Transport("NCCL's thread has ended".to_owned());
        carrier.give.send(Exchange { parts, lengths }).map_err(gone)?;
        carrier.answer()
    }
}

/// A GPU and its place among the ranks.
struct Gpu {
    stream: Arc<CudaStream>,
    comm: Comm,
}

impl Gpu {
    fn open(gpu: usize, rank: usize, ranks: usize, id: Id) -> Result<Self> {
        let context = CudaContext::new(gpu).map_err(|e| failed(&format!("GPU {gpu} cannot be opened"), e))?;
        let stream = context.default_stream();
        let comm = Comm::from_rank(Arc::clone(&stream), rank, ranks, id);
        Ok(Self { stream, comm: comm.map_err(|e| failed("NCCL cannot be joined", e.0))? })
    }

    fn exchange(&self, Exchange { mut parts, lengths }: Exchange) -> Result<Vec<Vec<u8>>> {
        let rank = self.comm.rank();
        let on_gpu = |e| failed("bytes cannot be moved between host and GPU", e);
        let own = std::mem::take(&mut parts[rank]);
        let sent: Vec<Option<CudaSlice<u8>>> = parts
            .iter()
            .map(|part| if part.is_empty() { Ok(None) } else { self.stream.clone_htod(part).map(Some) })
            .collect::<std::result::Result<_, _>>()
            .map_err(on_gpu)?;
        let room = |(from, &length): (usize, &u64)| match length {
            0 => Ok(None),
            _ if from == rank => Ok(None),
            length => self.stream.alloc_zeros(length as usize).map(Some),
        };
        let mut heard: Vec<Option<CudaSlice<u8>>> =
            lengths.iter().enumerate().map(room).collect::<std::result::Result<_, _>>().map_err(on_gpu)?;
        self.carry(&sent, &mut heard)?;
        let down = |bytes: &Option<CudaSlice<u8>>| {
            bytes.as_ref().map_or_else(|| Ok(Vec::new()), |bytes| self.stream.clone_dtoh(bytes))
        };
        let mut given: Vec<Vec<u8>> = heard.iter().map(down).collect::<std::result::Result<_, _>>().map_err(on_gpu)?;
        self.stream.synchronize().map_err(on_gpu)?;
        given[rank] = own;
        Ok(given)
    }

    /// All sends and receives in one group: none waits for another.
    fn carry(&self, sent: &[Option<CudaSlice<u8>>], heard: &mut [Option<CudaSlice<u8>>]) -> Result<()> {
        let carried = |e: cudarc::nccl::result::NcclError| failed("NCCL could not carry bytes", e.0);
        let sent: Vec<_> = sent.iter().enumerate().filter_map(|(to, b)| Some((to, b.as_ref()?.as_view()))).collect();
        let heard = heard.iter_mut().enumerate().filter_map(|(from, b)| Some((from, b.as_mut()?.as_view_mut())));
        let heard: Vec<_> = heard.collect();
        let mut group = self.comm.group();
        for (to, bytes) in sent {
            group.send(bytes, to as i32).map_err(carried)?;
        }
        for (from, bytes) in heard {
            group.recv(bytes, from as i32).map_err(carried)?;
        }
        Ok(())
    }
}

fn failed(what: &str, why: impl Debug) -> Error {
    Error::Transport(format!("{what}: {why:?}"))
}
