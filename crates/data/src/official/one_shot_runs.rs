use super::listed::Published;
use super::listing::{Listing, inside};
use crate::dataset::expect_example;
use crate::omniglot::{Locator, Source};
use crate::walk;
use crate::{Dataset, Error, Picture, Result};
use npair_types::{ClassId, ExampleId, Labels};
use std::collections::BTreeMap;
use std::path::Path;

const LIST: &str = "class_labels.txt";

const CURE: &str =
    "give all_runs.zip of the one-shot-classification folder of the Omniglot repository, or what it unpacks to";

/// The official one-shot classification runs of Omniglot: 20 runs of 20 characters of one alphabet. In each run one drawer drew
/// the training images, another the test images.
///
/// Read from `all_runs.zip`, from the folder it unpacks to, or from a folder that holds either. Every `runRR/class_labels.txt` has
/// lines `test training` with paths like `run01/test/item01.png run01/training/class01.png`. As a data set, a class is a character
/// of a run, with a test and a training image; its group is the run.
///
/// # Source
/// Lake, Salakhutdinov, Tenenbaum, Science 350 (2015); the folder `python/one-shot-classification` of the data set's repository.
#[derive(Debug)]
pub struct OneShotRuns {
    name: String,
    source: Source,
    images: Vec<(String, Locator)>,
    labels: Labels,
    runs: Vec<OfficialRun>,
    notes: Vec<String>,
}

/// One official run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfficialRun {
    /// What its folder is called: `run01`.
    pub name: String,
    /// Test images.
    pub test: Vec<ExampleId>,
    /// Training images; the i-th is of the class of the i-th test image.
    pub training: Vec<ExampleId>,
}

impl OneShotRuns {
    /// Reads the lists of all runs; decodes no image.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Zip`] for an archive that is damaged or climbs out of its folder, [`Error::Dataset`] naming the
    /// list and line that do not fit: an image that is not there, or named twice.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let source = find(path)?;
        let files: BTreeMap<String, Locator> = source.files()?.into_iter().collect();
        let (mut images, mut ids, mut runs) = (Vec::new(), Vec::new(), Vec::<OfficialRun>::new());
        for (list, locator) in &files {
            let Some((base, run)) = run_of(list) else { continue };
            let pairs = read(&source, list, locator, base, run, &files)?;
            let first = images.len();
            for (test, training) in pairs {
                let class = ClassId(u32::try_from(images.len() / 2).unwrap_or(u32::MAX));
                for path in [test, training] {
                    source.expect_small(&files[&path])?;
                    ids.push(class);
                    images.push((run.to_owned(), files[&path].clone()));
                }
            }
            let every_second = |from: usize| (from..images.len()).step_by(2).map(ExampleId).collect();
            runs.push(OfficialRun {
                name: run.to_owned(),
                test: every_second(first),
                training: every_second(first + 1),
            });
        }
        if runs.is_empty() {
            return Err(Error::dataset(name, format!("holds no run01/{LIST}"), CURE));
        }
        let labels = Labels::from_ids(ids).map_err(|e| Error::dataset(&name, e.to_string(), CURE))?;
        let published = Published { counts: vec![("runs", runs.len(), 20), ("test images", images.len() / 2, 400)] };
        Ok(Self { name, source, images, labels, runs, notes: published.differences() })
    }

    /// The runs, in the order of their names.
    pub fn runs(&self) -> &[OfficialRun] {
        &self.runs
    }
}

/// The archive or folder at a path, or the one that it holds.
fn find(path: &Path) -> Result<Source> {
    let metadata = std::fs::metadata(path).map_err(|e| Error::read(path.display(), &e))?;
    if metadata.is_file() {
        return Source::zip(path);
    }
    let entries = walk::entries(path)?;
    let runs = entries.iter().any(|e| e.is_folder && (e.name == "all_runs" || e.name.starts_with("run")));
    match entries.iter().find(|e| !e.is_folder && e.name == "all_runs.zip") {
        Some(zip) if !runs => Source::zip(&zip.path),
        _ => Ok(Source::folder(path)),
    }
}

/// What stands before `runRR/` (with its slash), and `runRR`.
fn run_of(list: &str) -> Option<(&str, &str)> {
    let folder = list.strip_suffix(LIST)?.strip_suffix('/')?;
    let run = folder.rsplit('/').next()?;
    let digits = run.strip_prefix("run")?;
    let numbered = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    numbered.then(|| (&folder[..folder.len() - run.len()], run))
}

/// Pairs of a test and a training image, by their paths in the source, in the order of the list.
fn read(
    source: &Source,
    path: &str,
    locator: &Locator,
    base: &str,
    run: &str,
    files: &BTreeMap<String, Locator>,
) -> Result<Vec<(String, String)>> {
    let file = source.describe(locator);
    let text = String::from_utf8(source.read(locator)?).map_err(|_| Error::dataset(&file, "is no UTF-8 text", CURE))?;
    let list = Listing::of(file, text, CURE);
    let mut seen = BTreeMap::<String, usize>::new();
    let mut pairs = Vec::new();
    for (line, text) in list.lines() {
        let [test, training] = text.split_whitespace().collect::<Vec<_>>()[..] else {
            return Err(
                list.wrong(line, format!("is `{text}`, but should be the paths of a test and a training image"))
            );
        };
        let mut image = |listed: &str, kind: &str| {
            let whole = format!("{base}{listed}");
            if inside(listed).is_none_or(|path| path != Path::new(listed))
                || !listed.starts_with(&format!("{run}/{kind}/"))
            {
                return Err(list.wrong(line, format!("has `{listed}` where a path in {run}/{kind}/ should be")));
            }
            if !files.contains_key(&whole) {
                return Err(list.wrong(line, format!("names {listed}, which is not there")));
            }
            match seen.insert(whole.clone(), line) {
                Some(first) => Err(list.wrong(line, format!("names {listed}, as line {first} does"))),
                None => Ok(whole),
            }
        };
        pairs.push((image(test, "test")?, image(training, "training")?));
    }
    if pairs.len() < 2 {
        return Err(list.faulty(format!("has {} lines, a run needs 2 or more", pairs.len())));
    }
    let folder = path.strip_suffix(LIST).unwrap_or(path);
    let unnamed = files.keys().find(|f| f.starts_with(folder) && f.ends_with(".png") && !seen.contains_key(*f));
    match unnamed {
        Some(image) => Err(list.faulty(format!("does not name {image}, which is there"))),
        None => Ok(pairs),
    }
}

impl Dataset for OneShotRuns {
    fn name(&self) -> &str {
        &self.name
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn class_name(&self, class: ClassId) -> String {
        match self.group(class) {
            Some(run) => format!("{run} character {class}"),
            None => format!("unknown character {class}"),
        }
    }

    fn group(&self, class: ClassId) -> Option<&str> {
        self.images.get(2 * class.0 as usize).map(|(run, _)| run.as_str())
    }

    fn describe(&self, example: ExampleId) -> String {
        match self.images.get(example.0) {
            Some((_, locator)) => self.source.describe(locator),
            None => format!("example {example} of {}", self.name),
        }
    }

    fn load(&self, example: ExampleId) -> Result<Picture> {
        expect_example(&self.name, example, self.images.len())?;
        self.source.load(&self.images[example.0].1)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}
