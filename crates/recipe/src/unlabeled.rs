//! Pictures that have no classes: every one is learned from as a class of its own, in several views (`data.views`).

use crate::{Config, Error, Result};
use npair_data::{Amount, SplitConfig};

/// Most views of a picture.
const MOST: usize = 64;

/// An error unless views of pictures make sense.
pub(crate) fn check(config: &Config) -> Result<()> {
    let (d, views) = (&config.data, config.data.views);
    let wrong = |setting, why: String| Err(Error::Setting { setting, why });
    if views == 0 {
        return Ok(());
    }
    if !(2..=MOST).contains(&views) {
        return wrong(
            "data.views",
            format!("is {views}, but has to be from 2 (a view and another one) to {MOST}, or 0"),
        );
    }
    if d.source.is_vectors() {
        return wrong("data.views", "changes pictures, but these are vectors: leave it out".to_owned());
    }
    let idle = [
        ("data.rotations", d.rotations, "makes classes of turned ones, but"),
        (
            "data.seen",
            d.seen != Amount::Count(0) && d.seen != Amount::Fraction(0.),
            "keeps examples of every class back, but",
        ),
        ("data.levels", d.levels.is_some(), "says which folders name the class, but"),
    ];
    if let Some((setting, _, what)) = idle.into_iter().find(|(_, idle, _)| *idle) {
        return wrong(
            setting,
            format!("{what} with data.views every picture is a class of its own: leave one of them out"),
        );
    }
    if matches!(d.split, Some(SplitConfig::Instances { .. } | SplitConfig::ClassNames { .. })) {
        let why =
            "is of classes, but with data.views every picture is one of its own: by = \"classes\" keeps pictures back";
        return wrong("data.split", why.to_owned());
    }
    if config.batch.per_class > views {
        let why = format!("is {}, but there are {views} views of every picture (data.views)", config.batch.per_class);
        return wrong("batch.per_class", why);
    }
    Ok(())
}

/// What scores of such a run are of.
pub(crate) fn note(config: &Config) -> Option<String> {
    (config.data.views > 0).then(|| {
        format!(
            "learned and judged without classes (data.views = {}): scores are of finding another view of the same picture, not of \
             finding what shows the same; `npair eval RUN --data FOLDER` with a folder per class judges that",
            config.data.views
        )
    })
}
