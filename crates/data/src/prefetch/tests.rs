use super::*;
use crate::{Cached, GlyphConfig, GlyphSet, Picture, PipelineConfig};
use npair_types::{ClassId, Labels, Purpose};

fn glyphs() -> Arc<dyn Dataset> {
    Arc::new(GlyphSet::new(GlyphConfig { classes: 10, instances: 4, ..GlyphConfig::default() }).unwrap())
}

fn pipeline() -> Pipeline {
    Pipeline::new(PipelineConfig::strokes(20)).unwrap()
}

fn ids(step: u64) -> Vec<ExampleId> {
    (0..19).map(|i| ExampleId(((i * 7 + step * 3) % 40) as usize)).collect()
}

fn run(dataset: &Arc<dyn Dataset>, workers: usize) -> Vec<LoadedBatch> {
    let mut prefetch = Prefetch::new(dataset.clone(), pipeline(), Streams::new(5), workers).unwrap();
    (0..12).for_each(|step| prefetch.submit(step, &ids(step)));
    assert_eq!(prefetch.pending(), 12);
    (0..12).map(|_| prefetch.next().unwrap()).collect()
}

#[test]
fn bits_depend_neither_on_threads_nor_on_the_cache() {
    let one = run(&glyphs(), 1);
    for (step, batch) in one.iter().enumerate() {
        assert_eq!((batch.ticket, batch.shape), (step as u64, [19, 1, 20, 20]));
        // Row by row as the documentation has it.
        for (row, &id) in ids(batch.ticket).iter().enumerate() {
            let mut want = vec![0.0; 400];
            let mut rng = Streams::new(5).open(Purpose::Augmentation, [batch.ticket, row as u64]);
            pipeline().augment(&glyphs().load(id).unwrap(), &mut rng, &mut want).unwrap();
            assert_eq!(batch.pixels[row * 400..(row + 1) * 400], want[..]);
        }
    }
    assert_eq!(run(&glyphs(), 2), one);
    assert_eq!(run(&glyphs(), 3), one);
    for budget in [0, 20_000, 1 << 20] {
        let cached = Arc::new(Cached::new(glyphs(), &pipeline(), budget));
        let shared: Arc<dyn Dataset> = cached.clone();
        assert_eq!(run(&shared, 2), one);
        assert!(cached.used() <= budget);
        assert_eq!(run(&shared, 1), one);
    }
}

#[test]
fn pieces_are_rows_of_the_whole() {
    let whole = run(&glyphs(), 2).swap_remove(3);
    let mut prefetch = Prefetch::new(glyphs(), pipeline(), Streams::new(5), 2).unwrap();
    // Each twice, as for a step that needs its pictures twice.
    for _ in 0..2 {
        for rows in [0..7, 7..18, 18..19] {
            prefetch.submit_rows(3, rows.start, &ids(3)[rows]);
        }
    }
    for _ in 0..2 {
        let pieces: Vec<LoadedBatch> = (0..3).map(|_| prefetch.next().unwrap()).collect();
        assert_eq!(pieces.iter().map(|p| p.shape[0]).collect::<Vec<_>>(), [7, 11, 1]);
        assert_eq!(pieces.iter().flat_map(|p| p.pixels.clone()).collect::<Vec<_>>(), whole.pixels);
    }
}

/// Example 3 is a bad file, example 5 makes the decoder panic.
struct Faulty(Arc<dyn Dataset>);

impl Dataset for Faulty {
    fn name(&self) -> &str {
        "faulty"
    }
    fn labels(&self) -> &Labels {
        self.0.labels()
    }
    fn class_name(&self, class: ClassId) -> String {
        self.0.class_name(class)
    }
    fn describe(&self, example: ExampleId) -> String {
        format!("file-{example}.png")
    }
    fn load(&self, example: ExampleId) -> Result<Picture> {
        match example.0 {
            3 => Err(Error::Decode { file: self.describe(example), why: "broken".into() }),
            5 => panic!("decoder out of its depth"),
            _ => self.0.load(example),
        }
    }
}

#[test]
fn faults_come_out_at_their_batch_and_nowhere_else() {
    for workers in [1, 2, 4] {
        let mut prefetch = Prefetch::new(Arc::new(Faulty(glyphs())), pipeline(), Streams::new(1), workers).unwrap();
        let good: Vec<ExampleId> = (10..40).map(ExampleId).collect();
        let with = |at: usize, bad: usize| {
            let mut ids = good.clone();
            ids[at] = ExampleId(bad);
            ids
        };
        prefetch.submit(0, &good);
        prefetch.submit(1, &with(29, 3));
        prefetch.submit(2, &with(20, 5));
        prefetch.submit(3, &good);
        let mut both = with(25, 3);
        both[9] = ExampleId(5);
        prefetch.submit(4, &both);
        prefetch.submit(5, &[]);
        prefetch.submit(6, &with(0, 999));
        assert_eq!(prefetch.next().unwrap().ticket, 0);
        assert!(prefetch.next().unwrap_err().to_string().starts_with("file-3.png is no readable picture"));
        let panicked = prefetch.next().unwrap_err().to_string();
        assert!(panicked.starts_with("file-5.png") && panicked.contains("out of its depth"), "{panicked}");
        assert_eq!(prefetch.next().unwrap().shape, [30, 1, 20, 20]);
        // Two bad rows: the first one is told, whichever thread is faster.
        assert!(prefetch.next().unwrap_err().to_string().starts_with("file-5.png"));
        assert_eq!(prefetch.next().unwrap().shape, [0, 1, 20, 20]);
        assert!(prefetch.next().unwrap_err().to_string().contains("no example 999"));
        assert!(prefetch.next().unwrap_err().to_string().contains("submit one first"));
    }
}

#[test]
fn other_ways_to_load_survive_a_panic_too() {
    let faulty = Faulty(glyphs());
    let panicked = crate::load_batch(&faulty, &pipeline(), &[4, 5, 3].map(ExampleId)).unwrap_err().to_string();
    assert!(panicked.starts_with("file-5.png") && panicked.contains("out of its depth"), "{panicked}");
    let report = crate::check(&faulty);
    assert_eq!(report.bad.iter().map(|b| b.file.as_str()).collect::<Vec<_>>(), ["file-3.png", "file-5.png"]);
}

#[test]
fn dropping_it_early_ends_the_threads() {
    let mut prefetch = Prefetch::new(glyphs(), pipeline(), Streams::new(1), 2).unwrap();
    (0..50).for_each(|step| prefetch.submit(step, &ids(step)));
    prefetch.next().unwrap();
    assert_eq!(prefetch.pending(), 49);
    drop(prefetch);
    assert!(Prefetch::new(glyphs(), pipeline(), Streams::new(1), 0).is_err());
}
