#![allow(clippy::unwrap_used)]
//! Folders that are not what an index wrote.

use crate::manifest::Manifest;
use crate::{Index, IndexRow, IndexSettings, NewRow, RowFilter};
use npair_metrics::{Calibration, Interval, Threshold, Verifier};
use npair_similarity::Rows;
use npair_types::Measure;
use std::fs;
use std::path::Path;

const D: usize = 4;

/// An index with everything that one can have: segments, thumbnails, classes, removed rows, thresholds.
fn index(folder: &Path) -> Index {
    let mut index = Index::create(folder, IndexSettings::new(D, Measure::Cosine)).unwrap();
    for part in [0..9u8, 9..12] {
        let paths: Vec<String> = part.clone().map(|i| format!("pictures/{i}.png")).collect();
        let new: Vec<NewRow> = paths
            .iter()
            .enumerate()
            .map(|(i, path)| NewRow {
                path,
                class: (i % 3 > 0).then_some("owl"),
                added: 1_700_000_000,
                thumbnail: (i % 2 > 0).then_some(path.as_bytes()),
            })
            .collect();
        let values: Vec<f32> = (0..new.len() * D).map(|i| i as f32 - f32::from(part.start)).collect();
        index.add(&new, Rows::new(&values, D).unwrap()).unwrap();
    }
    index.remove(RowFilter::Ids(&[2, 5])).unwrap();
    let interval = Interval { low: 0.3, high: 0.6 };
    let far_interval = Interval { low: 0., high: 0.1 };
    let point = |far: f64| Threshold {
        far,
        threshold: 0.5 - far,
        interval,
        far_interval,
        tar: 0.9,
        pairs: 1000,
        warning: None,
    };
    let calibration = Some(Calibration::Logistic { slope: 12.5, offset: -0.1 });
    let thresholds = vec![point(0.001), point(0.01)];
    index.set_verifier(Some(Verifier { measure: index.measure(), thresholds, calibration })).unwrap();
    index
}

type Contents = (Vec<IndexRow>, Vec<f32>, Vec<Option<Vec<u8>>>, Option<Verifier>);

/// All that an index says; what is wrong with it is a line that names a file.
fn contents(folder: &Path) -> Result<Contents, String> {
    let said = |e: crate::Error| {
        let said = e.to_string();
        assert!(said.lines().count() == 1 && said.contains(folder.to_str().unwrap()), "{said}");
        said
    };
    let index = Index::open(folder).map_err(said)?;
    let shown = index.rows().iter().map(|row| index.thumbnail(row.id)).collect::<Result<_, _>>().map_err(said)?;
    Ok((index.rows().to_vec(), index.vectors().as_slice().to_vec(), shown, index.verifier().cloned()))
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("lock")).collect()
}

#[test]
fn every_flipped_byte_is_an_error_or_means_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("x");
    index(&folder);
    let want = contents(&folder).unwrap();
    let (mut errors, mut all) = (0, 0);
    for path in files(&folder) {
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= [0x01, 0x5a, 0x80][at % 3];
            fs::write(&path, &bad).unwrap();
            let found = contents(&folder);
            errors += usize::from(found.is_err());
            all += 1;
            if let Ok(found) = found {
                assert_eq!(found, want, "{} at {at}", path.display());
            }
        }
        for end in (0..good.len()).step_by(13) {
            fs::write(&path, &good[..end]).unwrap();
            assert!(contents(&folder).is_err(), "{} cut at {end}", path.display());
        }
        fs::write(&path, good).unwrap();
    }
    assert_eq!(contents(&folder).unwrap(), want);
    // What is left is white space of index.json.
    assert!(errors * 10 > all * 8, "{errors} of {all}");
}

/// Writes checksums that fit, as somebody would who means harm.
fn reseal(folder: &Path, name: &str, bytes: &[u8], manifest: &Manifest) {
    fs::write(folder.join(name), bytes).unwrap();
    let mut lying = manifest.clone();
    let removed = lying.removed.iter_mut().map(|removed| &mut removed.file);
    let files =
        lying.segments.iter_mut().flat_map(|s| [&mut s.vectors, &mut s.table].into_iter().chain(&mut s.thumbnails));
    for file in files.chain(removed).filter(|file| file.name == name) {
        (file.bytes, file.crc32) = (bytes.len() as u64, crc32fast::hash(bytes));
    }
    lying.write(folder).unwrap();
}

#[test]
fn files_with_forged_checksums_are_read_without_trust() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("x");
    let manifest = index(&folder).manifest.clone();
    std::panic::set_hook(Box::new(|_| {}));
    for path in files(&folder).into_iter().filter(|path| !path.ends_with("index.json")) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let good = fs::read(&path).unwrap();
        for at in (0..good.len()).step_by(13) {
            let mut bad = good.clone();
            bad[at] ^= [0x01, 0x5a, 0xff][at / 13 % 3];
            reseal(&folder, &name, &bad, &manifest);
            // Other values, or an error; never a panic, which `contents` would not survive.
            let _ = contents(&folder);
        }
        for end in (0..good.len()).step_by(61) {
            reseal(&folder, &name, &good[..end], &manifest);
            let _ = contents(&folder);
        }
        reseal(&folder, &name, &good, &manifest);
    }
    let _ = std::panic::take_hook();
    assert!(contents(&folder).is_ok());
}

#[test]
fn what_index_json_claims_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("x");
    let manifest = index(&folder).manifest.clone();
    let said = |change: &dyn Fn(&mut Manifest)| {
        let mut lying = manifest.clone();
        change(&mut lying);
        lying.write(&folder).unwrap();
        contents(&folder).unwrap_err()
    };
    assert!(said(&|m| m.format = 2).contains("is of format 2, but this program knows 1: update it"));
    assert!(said(&|m| m.settings.width = 0).contains("width"));
    assert!(said(&|m| m.settings.width = 3).contains("shape [9, 3]"));
    assert!(said(&|m| m.rows += 1).contains("counts rows"));
    assert!(said(&|m| m.next_id = 3).contains("do not ascend"));
    assert!(said(&|m| m.segments[0].rows = usize::MAX).contains("do not ascend"));
    assert!(said(&|m| m.segments[0].last_id = u64::MAX).contains("do not ascend"));
    assert!(said(&|m| m.segments.swap(0, 1)).contains("do not ascend"));
    assert!(said(&|m| m.segments[0].first_id = 0).contains("do not ascend"));
    assert!(said(&|m| m.segments[1].last_id += 1).contains("do not ascend"));
    assert!(said(&|m| m.segments[0].vectors.name = "../vectors-1.safetensors".to_owned()).contains("names the file"));
    assert!(said(&|m| m.segments[0].vectors.name = "/etc/passwd".to_owned()).contains("names the file"));
    assert!(said(&|m| m.segments[0].vectors.name = "vectors-01.safetensors".to_owned()).contains("names the file"));
    assert!(said(&|m| m.segments[0].vectors = m.segments[1].vectors.clone()).contains("names a file twice"));
    assert!(said(&|m| m.removed = None).contains("counts rows"));
    assert!(said(&|m| m.verifier.as_mut().unwrap().thresholds[0].far = 2.).contains("threshold 0"));
    let gone = folder.join(&manifest.segments[0].table.name);
    manifest.write(&folder).unwrap();
    fs::remove_file(&gone).unwrap();
    assert!(contents(&folder).unwrap_err().contains("is not there: open the index anew"));
    assert!(Index::open(&dir.path().join("none")).unwrap_err().to_string().contains("is not there"));
}

#[test]
fn leftovers_are_swept_and_strangers_stay() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("x");
    index(&folder);
    let want = contents(&folder).unwrap();
    let ours = ["vectors-99.safetensors", "rows-99.parquet", "index.json.new", "removed-1.safetensors"];
    let theirs = ["notes.txt", "vectors-x.safetensors", "vectors-9.safetensors.bak"];
    ours.iter().chain(&theirs).for_each(|name| fs::write(folder.join(name), "x").unwrap());
    assert_eq!(contents(&folder).unwrap(), want);
    assert!(ours.iter().all(|name| !folder.join(name).exists()));
    assert!(theirs.iter().all(|name| folder.join(name).exists()));
}

#[test]
fn a_model_is_copied_whole_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, model) = (dir.path().join("x"), dir.path().join("m"));
    fs::create_dir_all(model.join("deep")).unwrap();
    fs::write(model.join("config.json"), "{}").unwrap();
    fs::write(model.join("deep/weights"), "w").unwrap();
    let mut index = index(&folder);
    assert!(index.model().is_none());
    assert!(index.set_model(&dir.path().join("none")).is_err());
    assert!(index.set_model(dir.path()).unwrap_err().to_string().contains("holds the index itself"));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(model.join("deep"), model.join("link")).unwrap();
        assert!(index.set_model(&model).unwrap_err().to_string().contains("neither a file nor a folder"));
        assert!(index.model().is_none());
        fs::remove_file(model.join("link")).unwrap();
        std::os::unix::fs::symlink("config.json", model.join("same.json")).unwrap();
    }
    index.set_model(&model).unwrap();
    let copied = index.model().unwrap();
    assert_eq!(fs::read_to_string(copied.join("deep/weights")).unwrap(), "w");
    #[cfg(unix)]
    assert!(fs::symlink_metadata(copied.join("same.json")).unwrap().is_file());
    assert!(index.set_model(&model).unwrap_err().to_string().contains("another index for the other model"));
    assert!(Index::open(&folder).unwrap().model().is_some() && !folder.join("model.new").exists());
}
