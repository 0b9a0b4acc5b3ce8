//! Pictures without classes into groups.

use crate::args::Cluster as Args;
use crate::search::{Queries, no_thresholds};
use crate::verifier::{percent, threshold};
use anyhow::{Context, Result};
use npair_data::sheet::{Border, contact_sheet, encode_png};
use npair_data::{LoosePictures, Picture};
use npair_evaluate::{Vectors, write_file};
use npair_index::{Index, group};
use npair_metrics::{Clustering, Verifier};
use npair_recipe::Device;
use npair_similarity::Rows;
use npair_types::{ExampleId, Labels, Purpose, Streams};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Pictures of a group in the grid, and groups.
const SHOWN: [usize; 2] = [10, 40];
/// The longest side of a picture in the grid.
const SIDE: u32 = 96;

pub fn run(args: &Args, device: Device, json: bool) -> Result<()> {
    npair_evaluate::check_free(std::slice::from_ref(&args.out), false)?;
    let index = Index::open(&args.index)?;
    let Vectors { values, width, labels, names, classes } = match &args.data {
        Some(data) => Queries::open(&index, data, device)?.vectors,
        None => of_index(&index),
    };
    let rows = Rows::new(&values, width)?;
    let (groups, how) = grouped(args, &index, rows)?;
    let count = groups.iter().max().map_or(0, |last| last + 1);
    write(&args.out, &groups, &names)?;
    let known =
        labels.filter(|_| classes.iter().any(|class| !class.is_empty())).filter(|labels| labels.classes().len() > 1);
    let judged =
        known.map(|labels| Clustering::new(&labels, &groups)).transpose().map_err(npair_evaluate::Error::from)?;
    if json {
        let scores = judged.map(|j| serde_json::json!({ "NMI": j.nmi(), "F1": j.f1(), "ARI": j.ari() }));
        say!("{}", serde_json::json!({ "examples": groups.len(), "groups": count, "how": how, "scores": scores }));
        return Ok(());
    }
    let alone = sizes(&groups).into_iter().filter(|&size| size == 1).count();
    say!("{} pictures in {count} groups, {alone} of them of one picture ({how}): {}", groups.len(), args.out.display());
    if let Some(judged) = judged {
        say!(
            "against the classes of the folders: NMI {:.4}, F1 {:.4}, ARI {:.4}",
            judged.nmi(),
            judged.f1(),
            judged.ari()
        );
    }
    Ok(())
}

/// The rows of an index themselves.
fn of_index(index: &Index) -> Vectors {
    let classes: Vec<String> = index.rows().iter().map(|row| row.class.as_deref().unwrap_or("").to_owned()).collect();
    let mut numbers = BTreeMap::new();
    for class in &classes {
        let next = numbers.len() as u32;
        numbers.entry(class.as_str()).or_insert(next);
    }
    Vectors {
        values: index.vectors().as_slice().to_vec(),
        width: index.width(),
        labels: Labels::new(classes.iter().map(|class| numbers[class.as_str()])).ok(),
        names: index.rows().iter().map(|row| row.path.to_string()).collect(),
        classes,
    }
}

/// The group of every row, and how they were found.
fn grouped(args: &Args, index: &Index, rows: Rows<f32>) -> Result<(Vec<usize>, String)> {
    if let Some(k) = args.k {
        let mut rng = Streams::new(args.seed).open(Purpose::Evaluation, [10, 0]);
        return Ok((group::k_means(rows, k, &mut rng)?, format!("k-means, k = {k}")));
    }
    let (least, why) = match (args.threshold, index.verifier()) {
        (Some(asked), _) => (asked, "as asked for".to_owned()),
        (None, Some(verifier)) => {
            let far = args.far.unwrap_or(Verifier::USUAL);
            let found = threshold(verifier, far)?;
            (found.threshold, format!("a false accept rate of {}", percent(found.far)))
        }
        (None, None) => return Err(no_thresholds(index)),
    };
    let groups = group::agglomerate(rows, index.measure(), least)?;
    Ok((groups, format!("joined while the mean {} of two groups is {least:.4} or more, {why}", index.measure())))
}

fn sizes(groups: &[usize]) -> Vec<usize> {
    let mut sizes = vec![0; groups.iter().max().map_or(0, |last| last + 1)];
    groups.iter().for_each(|&group| sizes[group] += 1);
    sizes
}

/// Groups from the largest on: folders of links, a table, and a picture of the largest.
fn write(out: &Path, groups: &[usize], names: &[String]) -> Result<()> {
    let sizes = sizes(groups);
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&group| (std::cmp::Reverse(sizes[group]), group));
    let mut rank = vec![0; sizes.len()];
    order.iter().enumerate().for_each(|(at, &group)| rank[group] = at);
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["group", "size", "path"])?;
    let mut rows: Vec<usize> = (0..groups.len()).collect();
    rows.sort_by_key(|&row| (rank[groups[row]], row));
    for &row in &rows {
        let name = names.get(row).cloned().unwrap_or_else(|| format!("row {row}"));
        table.write_record([rank[groups[row]].to_string(), sizes[groups[row]].to_string(), name])?;
    }
    std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    write_file(&out.join("groups.csv"), &table.into_inner()?)?;
    let files: Vec<(usize, PathBuf)> = rows
        .iter()
        .filter_map(|&row| Some((rank[groups[row]], PathBuf::from(names.get(row)?))))
        .filter(|(_, path)| path.is_file())
        .collect();
    links(out, &files)?;
    match grid(&files)? {
        Some(picture) => Ok(write_file(&out.join("groups.png"), &picture)?),
        None => Ok(()),
    }
}

/// A folder per group, with a link to each of its pictures.
fn links(out: &Path, files: &[(usize, PathBuf)]) -> Result<()> {
    for (at, (group, file)) in files.iter().enumerate() {
        let folder = out.join(format!("{group:05}"));
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let link = folder.join(format!("{at:06}-{name}"));
        let file = file.canonicalize().with_context(|| file.display().to_string())?;
        link_to(&file, &link).with_context(|| link.display().to_string())?;
    }
    Ok(())
}

#[cfg(unix)]
fn link_to(file: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(file, link)
}

/// Links need rights of their own elsewhere.
#[cfg(not(unix))]
fn link_to(file: &Path, link: &Path) -> std::io::Result<()> {
    std::fs::copy(file, link).map(|_| ())
}

/// The first pictures of the largest groups, a row for each.
fn grid(files: &[(usize, PathBuf)]) -> Result<Option<Vec<u8>>> {
    let [columns, groups] = SHOWN;
    let blank = Picture::new(1, 1, 1, vec![238])?;
    let mut pictures = Vec::new();
    for group in 0..groups {
        let own: Vec<PathBuf> =
            files.iter().filter(|(of, _)| *of == group).take(columns).map(|(_, file)| file.clone()).collect();
        if own.is_empty() {
            break;
        }
        let missing = columns - own.len();
        let loose = LoosePictures::of_files("group", own)?;
        for i in 0..npair_data::Dataset::len(&loose) {
            pictures.push(npair_data::Dataset::load(&loose, ExampleId(i))?.fitted(SIDE)?);
        }
        pictures.extend((0..missing).map(|_| blank.clone()));
    }
    let borders = vec![Border::None; pictures.len()];
    Ok((!pictures.is_empty())
        .then(|| contact_sheet(&pictures, columns, &borders).and_then(|s| encode_png(&s)))
        .transpose()?)
}
