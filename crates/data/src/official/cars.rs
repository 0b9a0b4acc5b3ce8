use super::listed::{ClassEntry, Entry, Listed, Published, listed_dataset};
use super::listing::inside;
use super::mat::Mat;
use crate::{Error, OfficialSide, Result};
use npair_types::ClassId;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Classes from this id on are for test.
const FIRST_TEST_CLASS: u32 = 99;

/// Number of classes.
const CLASSES: u32 = 196;

/// Cars-196: 16,185 photographs of 196 models of cars.
///
/// Read in either of its layouts: `cars_annos.mat` with pictures in `car_ims/`, or the development kit,
/// `cars_train_annos.mat` with `cars_train/` and `cars_test_annos_withlabels.mat` with `cars_test/` (annotations at `root` or in
/// `root/devkit`). If both are there, the first is taken. Class ids are the official ones, from 1 on; names come with the
/// annotations or, for the kit, from `cars_meta.mat` if it is there. The official split is that of metric learning: classes 1 to 98
/// for training, 99 to 196 for test, whichever folder a picture lies in.
///
/// # Source
/// Krause et al., 3D Object Representations for Fine-Grained Categorization, 3dRR 2013; the split: Song et al., CVPR 2016,
/// section 5.
#[derive(Debug)]
pub struct Cars196 {
    listed: Listed,
}

/// A file of annotations: where it is, its field with the path, and the folder that paths start from.
struct Annotations {
    file: PathBuf,
    path: &'static str,
    pictures: PathBuf,
}

impl Cars196 {
    /// Reads the annotations; opens no picture.
    ///
    /// # Errors
    /// [`Error::Dataset`] if neither layout is there, or naming the file and the annotation that does not fit.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        let root = root.as_ref();
        let (mut entries, mut names) = (Vec::new(), BTreeMap::<ClassId, ClassEntry>::new());
        for annotations in find(root)? {
            let mat = Mat::read(&annotations.file)?;
            read(&mat, &annotations, &mut entries)?;
            name(&mut names, &mat);
        }
        let meta = super::home(root, "cars_meta.mat", &["devkit"]).join("cars_meta.mat");
        if names.is_empty() && meta.is_file() {
            name(&mut names, &Mat::read(&meta)?);
        }
        for entry in &entries {
            let id = entry.class;
            names.entry(id).or_insert_with(|| ClassEntry { name: format!("class {id}"), group: None });
        }
        let listed = Listed::new(root.display().to_string(), entries, names)?;
        let ((train, train_classes), (test, test_classes)) =
            (listed.count(&[OfficialSide::Train]), listed.count(&[OfficialSide::Test]));
        let published = Published {
            counts: vec![
                ("pictures to learn from", train, 8054),
                ("classes to learn from", train_classes, 98),
                ("pictures for test", test, 8131),
                ("classes for test", test_classes, 98),
            ],
        };
        let notes = published.differences();
        Ok(Self { listed: listed.noting(notes) })
    }
}

fn find(root: &Path) -> Result<Vec<Annotations>> {
    let at = |file: &str| super::home(root, file, &["devkit"]).join(file);
    let whole = at("cars_annos.mat");
    if whole.is_file() {
        return Ok(vec![Annotations { file: whole, path: "relative_im_path", pictures: root.to_owned() }]);
    }
    let half = |file: &str, folder: &str| Annotations { file: at(file), path: "fname", pictures: root.join(folder) };
    let halves = vec![half("cars_train_annos.mat", "cars_train"), half("cars_test_annos_withlabels.mat", "cars_test")];
    let missing: Vec<String> =
        halves.iter().filter(|a| !a.file.is_file()).map(|a| a.file.display().to_string()).collect();
    if missing.is_empty() {
        return Ok(halves);
    }
    let why = format!("holds neither cars_annos.mat nor the whole development kit: {} missing", missing.join(" and "));
    let cure = "fetch cars_annos.mat and car_ims/, or the development kit with the labels of the test pictures";
    Err(Error::dataset(root.display(), why, cure))
}

fn read(mat: &Mat, annotations: &Annotations, entries: &mut Vec<Entry>) -> Result<()> {
    for row in mat.rows("annotations")? {
        if !row.has("class") {
            return Err(row.wrong("has no field `class`: take cars_test_annos_withlabels.mat".to_owned()));
        }
        let class = row.number("class")?;
        if !(1..=CLASSES).contains(&class) {
            return Err(row.wrong(format!("has the class {class}, which is not from 1 to {CLASSES}")));
        }
        let listed = row.text(annotations.path)?;
        let Some(inner) = inside(&listed) else {
            return Err(row.wrong(format!("names the path `{listed}`, which leads out of its folder")));
        };
        let side = if class < FIRST_TEST_CLASS { OfficialSide::Train } else { OfficialSide::Test };
        entries.push(Entry {
            path: annotations.pictures.join(inner),
            class: ClassId(class),
            side,
            crop: None,
            named: None,
        });
    }
    Ok(())
}

fn name(names: &mut BTreeMap<ClassId, ClassEntry>, mat: &Mat) {
    for (id, name) in (1..).zip(mat.texts("class_names").unwrap_or_default()) {
        names.insert(ClassId(id), ClassEntry { name, group: None });
    }
}

listed_dataset!(Cars196);
