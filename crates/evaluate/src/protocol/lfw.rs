use crate::{Result, Score, Scores};
use npair_data::{Lfw, LfwPairs};
use npair_metrics::{Embeddings, PairScores, Roc, folds};
use npair_types::Measure;

/// Verification over the folds of the official list: accuracy at the threshold that is best on the other folds, mean and standard
/// error over the folds; AUC, EER and TAR@FAR over all its pairs.
///
/// # Shapes
/// Row i of `set` is example i of `faces`.
///
/// # Units
/// Shares, in [0, 1].
///
/// # Errors
/// If an image of the list is missing, or there are fewer than two folds.
///
/// # Source
/// Huang et al., Labeled Faces in the Wild, 2007, section III-B (view 2).
pub fn lfw_verification(faces: &Lfw, list: &LfwPairs, set: &Embeddings, measure: Measure) -> Result<Scores> {
    let near = PairScores::new(set, measure);
    let similarity = |images: &[npair_data::LfwImage; 2]| -> Result<f64> {
        Ok(near.of(faces.example(&images[0])?.0, faces.example(&images[1])?.0))
    };
    let scores: Vec<f64> = list.pairs().iter().map(|pair| similarity(&pair.images)).collect::<Result<_>>()?;
    let same: Vec<bool> = list.pairs().iter().map(|pair| pair.same).collect();
    let fold: Vec<usize> = list.pairs().iter().map(|pair| pair.fold).collect();
    let found = folds(&scores, &same, &fold)?;
    let roc = Roc::new(&scores, &same)?;
    Ok(Scores {
        set: format!("LFW, {} pairs in {} folds", scores.len(), list.folds()),
        examples: set.len(),
        classes: set.labels().classes().len(),
        measure: measure.to_string(),
        scores: vec![
            Score::mean("verification accuracy", found.accuracy),
            Score::plain("AUC", roc.auc()),
            Score::plain("EER", roc.eer()),
            Score::plain("TAR@FAR=1%", roc.tar_at_far(0.01)),
            Score::plain("TAR@FAR=0.1%", roc.tar_at_far(0.001)),
        ],
        notes: vec!["the standard error of the accuracy is over the folds, s / sqrt(n) with the sample's s".to_owned()],
    })
}
