use super::*;
use crate::{VectorInputs, View, embed};
use candle_core::{DType, Device, Tensor};
use npair_backbones::{VectorNet, VectorNetConfig};
use npair_collective::Threads;
use npair_types::{Labels, Streams};
use std::sync::atomic::{AtomicUsize, Ordering};

const ROWS: usize = 23;
const CHUNK: usize = 5;

/// Rows that can be loaded so often, and then no more, as in a program that is killed.
struct Stopping {
    rows: VectorInputs,
    left: AtomicUsize,
}

impl Stopping {
    fn after(chunks: usize) -> Self {
        Self::of(ROWS, chunks)
    }

    fn of(rows: usize, chunks: usize) -> Self {
        let values = (0..rows * 3).map(|at| ((at * 37 % 101) as f32 - 50.) / 7.).collect();
        let labels = Labels::new((0..rows as u32).map(|row| row / 4)).unwrap();
        Self { rows: VectorInputs::new("rows", values, 3, labels).unwrap(), left: AtomicUsize::new(chunks) }
    }
}

impl Inputs for Stopping {
    fn labels(&self) -> &Labels {
        self.rows.labels()
    }
    fn load(&self, ids: &[ExampleId], view: View) -> Result<Tensor> {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map_err(|_| Error::Loader { why: "stopped".to_owned() })?;
        self.rows.load(ids, view)
    }
    fn describe(&self, example: ExampleId) -> String {
        format!("row {example}, \"new\"")
    }
    fn chunk(&self) -> usize {
        CHUNK
    }
}

struct Net {
    folder: tempfile::TempDir,
    net: VectorNet,
}

impl Net {
    fn new(seed: u64) -> Self {
        let config = serde_json::json!({ "format": 1, "input": 3, "hidden": [4], "embedding": 2 });
        let config: VectorNetConfig = serde_json::from_value(config).unwrap();
        let net = VectorNet::new(config, Streams::new(seed), DType::F32, &Device::Cpu).unwrap();
        let folder = tempfile::tempdir().unwrap();
        net.save(folder.path()).unwrap();
        Self { folder, net }
    }

    fn job<'a>(&'a self, inputs: &'a dyn Inputs) -> EmbeddingJob<'a> {
        EmbeddingJob { folder: self.folder.path(), model: &self.net, inputs, how: TestTimeAugmentation::none() }
    }

    fn part<'a>(&'a self, out: &Path, inputs: &'a dyn Inputs) -> Result<PartFile<'a>> {
        PartFile::open(out, self.job(inputs), OtherPart::Refuse)
    }

    /// The bytes of the files that are written at the end, from rows in memory.
    fn want(&self, out: &Path) -> Vec<Vec<u8>> {
        let whole = Stopping::after(usize::MAX);
        let vectors = embed(&self.net, &whole, TestTimeAugmentation::none(), &mut |_| ()).unwrap();
        vectors.write(out).unwrap().iter().map(|path| fs::read(path).unwrap()).collect()
    }
}

fn bytes(files: &[PathBuf]) -> Vec<Vec<u8>> {
    files.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn whoever_is_stopped_after_any_chunk_goes_on_to_the_same_bits() {
    let net = Net::new(1);
    let dir = tempfile::tempdir().unwrap();
    for name in ["x.npy", "x.safetensors"] {
        let want = net.want(&dir.path().join(format!("whole-{name}")));
        for stop in 0..=ROWS.div_ceil(CHUNK) {
            let out = dir.path().join(format!("{stop}-{name}"));
            let first = Stopping::after(stop);
            let mut part = net.part(&out, &first).unwrap();
            assert_eq!(part.rows(), 0);
            assert_eq!(part.fill(&mut |_| ()).is_ok(), stop == ROWS.div_ceil(CHUNK), "{stop}");
            drop(part);
            assert!(!out.exists() && Places::beside(&out).rows.exists() == (stop > 0));
            let second = Stopping::after(usize::MAX);
            let mut part = net.part(&out, &second).unwrap();
            assert_eq!((part.rows(), part.begun_anew()), (ROWS.min(stop * CHUNK), None));
            let mut heard = Vec::new();
            part.fill(&mut |done| heard.push(done)).unwrap();
            let loads = usize::MAX - second.left.load(Ordering::Relaxed);
            assert_eq!((heard.len(), loads), (ROWS.div_ceil(CHUNK) - stop, ROWS.div_ceil(CHUNK) - stop));
            let files = part.place().unwrap();
            assert_eq!(bytes(&files), want);
            let places = Places::beside(&out);
            assert!(!places.rows.exists() && !places.log.exists());
        }
    }
}

#[test]
fn ranks_fill_a_file_with_the_bits_of_one_process() {
    let (net, dir) = (Net::new(1), tempfile::tempdir().unwrap());
    let want = net.want(&dir.path().join("whole.npy"));
    for ranks in 1..=4 {
        for stop in [0, 2] {
            let out = dir.path().join(format!("{ranks}-{stop}.npy"));
            if stop > 0 {
                // Begun by one process, gone on with by several.
                net.part(&out, &Stopping::after(stop)).unwrap().fill(&mut |_| ()).unwrap_err();
            }
            let loads: usize = Threads::run(ranks, |rank| {
                let inputs = Stopping::after(usize::MAX);
                if rank.rank() > 0 {
                    net.job(&inputs).take_part(rank).unwrap();
                } else {
                    let mut part = net.part(&out, &inputs).unwrap();
                    part.fill_on(rank, &mut |_| ()).unwrap();
                    assert_eq!(bytes(&part.place().unwrap()), want, "{ranks} ranks from chunk {stop} on");
                }
                usize::MAX - inputs.left.load(Ordering::Relaxed)
            })
            .into_iter()
            .sum();
            assert_eq!(loads, ROWS.div_ceil(CHUNK) - stop, "every chunk is loaded by one rank");
        }
    }
}

#[test]
fn what_is_cut_off_or_damaged_is_made_again() {
    let (net, dir) = (Net::new(1), tempfile::tempdir().unwrap());
    let want = net.want(&dir.path().join("whole.npy"));
    let out = dir.path().join("x.npy");
    let places = Places::beside(&out);
    let row = (want[0].len() - ROWS * 8, 8);
    type Harm<'a> = &'a dyn Fn(&mut Vec<u8>, &mut Vec<u8>);
    let harms: [(Harm<'_>, usize); 7] = [
        (&|rows, _| rows.truncate(rows.len() - 1), 10),
        (&|rows, _| rows[row.0 + row.1 * 12] ^= 1, 10),
        (&|rows, _| rows[row.0] ^= 1, 0),
        (&|rows, _| rows[20] ^= 1, 0),
        (&|rows, _| rows.extend([7; 11]), 15),
        (&|_, log| log.truncate(log.len() - 3), 10),
        (&|rows, _| rows.clear(), 0),
    ];
    for (at, (harm, left)) in harms.into_iter().enumerate() {
        let stopped = Stopping::after(3);
        net.part(&out, &stopped).unwrap().fill(&mut |_| ()).unwrap_err();
        let (mut rows, mut log) = (fs::read(&places.rows).unwrap(), fs::read(&places.log).unwrap());
        harm(&mut rows, &mut log);
        fs::write(&places.rows, rows).unwrap();
        fs::write(&places.log, log).unwrap();
        let whole = Stopping::after(usize::MAX);
        let mut part = net.part(&out, &whole).unwrap();
        assert_eq!(part.rows(), left, "{at}");
        part.fill(&mut |_| ()).unwrap();
        assert_eq!(bytes(&part.place().unwrap()), want, "{at}");
    }
}

#[test]
fn rows_of_something_else_are_refused_or_made_anew() {
    let (net, dir) = (Net::new(1), tempfile::tempdir().unwrap());
    let out = dir.path().join("x.npy");
    let stopped = Stopping::after(2);
    net.part(&out, &stopped).unwrap().fill(&mut |_| ()).unwrap_err();
    let (other_net, fewer, whole) = (Net::new(2), Stopping::of(20, usize::MAX), Stopping::after(usize::MAX));
    let twice = TestTimeAugmentation::new(2, Streams::new(0)).unwrap();
    for (job, what) in [
        (other_net.job(&whole), "another model"),
        (net.job(&fewer), "other examples"),
        (EmbeddingJob { how: twice, ..net.job(&whole) }, "other settings of tta"),
    ] {
        let said = PartFile::open(&out, job, OtherPart::Refuse).map(|_| ()).unwrap_err().to_string();
        assert!(said.contains(what) && said.contains("x.npy.part:") && said.contains("--force"), "{said}");
        assert_eq!(said.lines().count(), 1);
    }
    assert_eq!(net.part(&out, &whole).unwrap().rows(), 10, "a refusal takes nothing away");
    let mut part = PartFile::open(&out, other_net.job(&whole), OtherPart::BeginAnew).unwrap();
    assert_eq!((part.rows(), part.begun_anew()), (0, Some("another model")));
    part.fill(&mut |_| ()).unwrap();
    assert_eq!(bytes(&part.place().unwrap()), other_net.want(&dir.path().join("want.npy")));
}

#[test]
fn files_of_somebody_else_are_left_alone_unless_asked() {
    let (net, dir) = (Net::new(1), tempfile::tempdir().unwrap());
    let whole = Stopping::after(usize::MAX);
    for name in ["x.npy.part", "y.npy.part.log"] {
        let out = dir.path().join(&name[..5]);
        fs::write(dir.path().join(name), "dear\n").unwrap();
        for other in [OtherPart::Refuse, OtherPart::BeginAnew] {
            let said = PartFile::open(&out, net.job(&whole), other).map(|_| ()).unwrap_err().to_string();
            assert!(said.contains(name) && said.contains("is there already"), "{said}");
        }
        assert_eq!(fs::read(dir.path().join(name)).unwrap(), b"dear\n");
        let mut part = PartFile::open(&out, net.job(&whole), OtherPart::Replace).unwrap();
        part.fill(&mut |_| ()).unwrap();
        part.place().unwrap();
    }
}

#[test]
fn two_processes_do_not_write_the_same_rows() {
    let (net, dir) = (Net::new(1), tempfile::tempdir().unwrap());
    let out = dir.path().join("x.npy");
    let (stopped, whole) = (Stopping::after(2), Stopping::after(usize::MAX));
    let mut first = net.part(&out, &stopped).unwrap();
    first.fill(&mut |_| ()).unwrap_err();
    let said = net.part(&out, &whole).map(|_| ()).unwrap_err().to_string();
    assert!(said.contains("another process is writing"), "{said}");
    drop(first);
    assert_eq!(net.part(&out, &whole).unwrap().rows(), 10);
}

#[test]
fn whoever_is_stopped_while_files_are_placed_goes_on_there() {
    let (net, dir) = (Net::new(1), tempfile::tempdir().unwrap());
    let want = net.want(&dir.path().join("whole.npy"));
    let out = dir.path().join("x.npy");
    let whole = Stopping::after(usize::MAX);
    let mut part = net.part(&out, &whole).unwrap();
    part.fill(&mut |_| ()).unwrap();
    assert!(!PartFile::is_placing(&out));
    // The list cannot take its place: a folder is there.
    fs::create_dir(out.with_extension("csv")).unwrap();
    part.place().unwrap_err();
    assert!(PartFile::is_placing(&out) && out.with_extension("labels.npy").exists() && !out.exists());
    assert_eq!(net.part(&out, &whole).unwrap().rows(), ROWS);
    assert!(PartFile::is_placing(&out), "it stays written down");
    fs::remove_dir(out.with_extension("csv")).unwrap();
    let mut part = net.part(&out, &whole).unwrap();
    assert_eq!(part.rows(), ROWS);
    part.fill(&mut |_| ()).unwrap();
    assert_eq!(bytes(&part.place().unwrap()), want);
}

#[test]
fn rows_come_back_to_be_judged() {
    let (net, dir) = (Net::new(1), tempfile::tempdir().unwrap());
    let out = dir.path().join("x.npy");
    let whole = Stopping::after(usize::MAX);
    let mut part = net.part(&out, &whole).unwrap();
    assert!(part.embeddings().unwrap_err().to_string().contains("holds 0 of 23 rows"));
    part.fill(&mut |_| ()).unwrap();
    let want = embed(&net.net, &whole, TestTimeAugmentation::none(), &mut |_| ()).unwrap();
    assert_eq!(part.embeddings().unwrap().wide(), want.into_labeled().unwrap().wide());
    part.remove().unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
