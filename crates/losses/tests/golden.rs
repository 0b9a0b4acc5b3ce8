//! Losses and their gradients against the reference values of other programs, in f32 and in f64.
//! `cargo xtask golden --check DIR` runs this on any folder of the same form.

mod of_batch;

use candle_core::{DType, Result, Tensor, Var};
use npair_losses::*;
use npair_testkit::golden::{Golden, relative_error};
use npair_types::{ClassId, Labels, Pairs, Tuples};
use of_batch::OfBatch;
use serde_json::Value;

/// Largest errors allowed: of the value, and of gradients relative to their largest entry. The reference is stored in f32
/// (2^-24 = 6e-8) and our f32 sums of up to a thousand products err by some 1e-6 of their size, so f64 cannot show more
/// than storage precision.
const F32: (f64, f64) = (1e-5, 1e-4);
const F64: (f64, f64) = (2e-7, 2e-7);

/// The loss of a row and the names of the tensors it depends on; `None` if the loss is not built yet.
type Run<'a> = Box<dyn Fn(&[Tensor]) -> npair_losses::Result<Tensor> + 'a>;
#[allow(clippy::too_many_lines, reason = "one arm a loss")]
fn run<'a>(golden: &'a Golden, row: &'a Value) -> Result<Option<(Vec<&'static str>, Run<'a>)>> {
    const PAIR: [&str; 2] = ["anchors", "positives"];
    const TRIPLET: [&str; 3] = ["anchors", "positives", "negatives"];
    let case = Golden::case(row);
    let setting = |name: &str| row[name].as_f64().unwrap_or(f64::NAN);
    let labels =
        || -> Result<Labels> { Labels::from_i64(&golden.integers(case, "labels")?).map_err(candle_core::Error::wrap) };
    fn triplets<'a>(loss: impl TripletLoss + 'a) -> Run<'a> {
        Box::new(move |t| Ok(loss.forward_triplets(&t[0], &t[1], &t[2])?.value))
    }
    fn batch<'a>(loss: npair_losses::Result<impl Loss + 'a>, labels: Labels) -> Result<(Vec<&'static str>, Run<'a>)> {
        let loss = loss.map_err(candle_core::Error::wrap)?;
        Ok((vec!["embeddings"], Box::new(move |t| Ok(loss.of_batch(&t[0], &labels)?.value))))
    }
    /// Losses with weights; in the reference those of a class may be a column.
    fn weighted<'a, L: Loss>(
        labels: Labels,
        columns: bool,
        made: impl Fn(&[ClassId], &Tensor) -> npair_losses::Result<L> + 'a,
    ) -> (Vec<&'static str>, Run<'a>) {
        let run: Run = Box::new(move |t| {
            let weights = if columns { t[1].t()?.contiguous()? } else { t[1].clone() };
            Ok(made(&labels.classes(), &weights)?.of_batch(&t[0], &labels)?.value)
        });
        (vec!["embeddings", "weights"], run)
    }
    Ok(Some(match case.split('/').next().unwrap_or(case) {
        "n_pair_mc" => {
            let weight = row["l2"].as_f64().unwrap_or(0.);
            let run: Run = Box::new(move |t| {
                let loss = NPairMc.forward_pairs(&t[0], &t[1])?.value;
                let penalty =
                    NormPenalty::new(weight, NormForm::MeanSquare)?.penalty(&Tensor::cat(&[&t[0], &t[1]], 0)?)?;
                Ok((loss + penalty)?)
            });
            (PAIR.to_vec(), run)
        }
        "n_pair_ovo" => (PAIR.to_vec(), Box::new(|t| Ok(NPairOvo.forward_pairs(&t[0], &t[1])?.value))),
        "n_pair_mc_symmetric" => (PAIR.to_vec(), Box::new(|t| Ok(SymmetricNPairMc.forward_pairs(&t[0], &t[1])?.value))),
        "tuplet" => (TRIPLET.to_vec(), Box::new(|t| Ok(NTuplet.forward_tuplets(&t[0], &t[1], &t[2])?.value))),
        "triplet" => {
            (TRIPLET.to_vec(), triplets(TripletMargin::new(setting("margin")).map_err(candle_core::Error::wrap)?))
        }
        "triplet_smooth" => (TRIPLET.to_vec(), triplets(SmoothTriplet)),
        "contrastive" => {
            let same: Vec<bool> = golden.integers(case, "same")?.iter().map(|&s| s != 0).collect();
            let margin = setting("margin");
            (
                vec!["left", "right"],
                Box::new(move |t| Ok(Contrastive::new(margin)?.forward_pairs(&t[0], &t[1], &same)?.value)),
            )
        }
        "nca_style" => {
            let labels = labels()?;
            (vec!["embeddings"], Box::new(move |t| Ok(NcaStyle.of_batch(&t[0], &labels)?.value)))
        }
        // The reference keeps the first two rows of every class, in the order of the classes.
        "n_pairs_pml_plain" | "n_pairs_pml_normalised" => {
            let labels = labels()?;
            let first = |nth: usize| -> Vec<usize> {
                let nth_row = |c| (0..labels.len()).filter(|&i| labels.get(i) == c).nth(nth);
                labels.classes().into_iter().filter_map(nth_row).collect()
            };
            let pairs = Pairs::new(first(0), first(1), &labels).map_err(candle_core::Error::wrap)?;
            let normalize = case.ends_with("normalised");
            let run: Run = Box::new(move |t| {
                let norms = t[0].sqr()?.sum_keepdim(1)?.sqrt()?;
                let x = if normalize { t[0].broadcast_div(&norms)? } else { t[0].clone() };
                let batch = Batch::new(&x, &labels)?.with_tuples(Tuples::Pairs(pairs.clone()))?;
                Ok(NPairMc.forward(&batch)?.value)
            });
            (vec!["embeddings"], run)
        }
        "softmax" => {
            let labels = labels()?;
            let run: Run = Box::new(move |t| {
                let classes = labels.classes();
                Ok(SoftmaxClassifier::from_parts(&classes, &t[1], &t[2])?.of_batch(&t[0], &labels)?.value)
            });
            (vec!["embeddings", "weights", "bias"], run)
        }
        "nt_xent" => batch(NtXent::new(setting("temperature")), labels()?)?,
        "sup_con" => batch(SupCon::new(setting("temperature")), labels()?)?,
        "multi_similarity" => {
            batch(MultiSimilarity::new(setting("alpha"), setting("beta"), setting("base")), labels()?)?
        }
        "triplet_margin_all" => batch(BatchAllTriplet::new(setting("margin"), Reducer::MeanOfNonZero), labels()?)?,
        "contrastive_all" => batch(
            PairwiseContrastive::new(setting("pos_margin"), setting("neg_margin"), Reducer::MeanOfNonZero),
            labels()?,
        )?,
        "lifted_structure" => batch(LiftedStructure::new(setting("neg_margin"), setting("pos_margin")), labels()?)?,
        "generalized_lifted_structure" => {
            batch(GeneralizedLiftedStructure::new(setting("neg_margin"), setting("pos_margin")), labels()?)?
        }
        // The reference leaves the negatives' length as it is.
        "angular" => {
            let (labels, degrees) = (labels()?, setting("alpha_degrees"));
            (vec!["embeddings"], Box::new(move |t| Ok(Angular::new(degrees)?.against(&t[0], &t[0], &labels)?.value)))
        }
        "circle" => batch(Circle::new(setting("m"), setting("gamma")), labels()?)?,
        "fast_ap" => batch(FastAp::new(setting("num_bins") as usize), labels()?)?,
        "tuplet_margin" => batch(TupletMargin::new(setting("margin_degrees"), setting("scale")), labels()?)?,
        "proxy_nca" => {
            let scale = setting("softmax_scale");
            weighted(labels()?, false, move |c, w| ProxyNca::from_parts(c, w)?.with_scale(scale))
        }
        "proxy_anchor" => {
            let (margin, alpha) = (setting("margin"), setting("alpha"));
            weighted(labels()?, false, move |c, w| {
                ProxyAnchor::from_parts(c, w)?.with_margin(margin)?.with_alpha(alpha)
            })
        }
        "normalized_softmax" => {
            let temperature = setting("temperature");
            weighted(labels()?, true, move |c, w| NormalizedSoftmax::from_parts(c, w)?.with_temperature(temperature))
        }
        "arcface" => {
            let (margin, scale) = (setting("margin_degrees"), setting("scale"));
            weighted(labels()?, true, move |c, w| ArcFace::from_parts(c, w)?.with_margin(margin)?.with_scale(scale))
        }
        "cosface" => {
            let (margin, scale) = (setting("margin"), setting("scale"));
            weighted(labels()?, true, move |c, w| CosFace::from_parts(c, w)?.with_margin(margin)?.with_scale(scale))
        }
        "sphereface" => {
            let (margin, scale) = (setting("margin") as u32, setting("scale"));
            weighted(labels()?, true, move |c, w| SphereFace::from_parts(c, w)?.with_margin(margin)?.with_scale(scale))
        }
        "soft_triple" => {
            let (lambda, gamma, margin) = (setting("la"), setting("gamma"), setting("margin"));
            let centers = setting("centers_per_class") as usize;
            weighted(labels()?, true, move |c, w| {
                SoftTriple::from_parts(c, centers, w)?.with_lambda(lambda)?.with_gamma(gamma)?.with_margin(margin)
            })
        }
        _ => return Ok(None),
    }))
}

/// Errors of value and of gradients.
fn errors(golden: &Golden, row: &Value, names: &[&str], run: &Run, dtype: DType) -> Result<(f64, f64)> {
    let case = Golden::case(row);
    let vars = names.iter().map(|n| Var::from_tensor(&golden.tensor(case, n, dtype)?)).collect::<Result<Vec<_>>>()?;
    let inputs: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let loss = run(&inputs).map_err(candle_core::Error::wrap)?;
    let value = relative_error(&loss, &golden.tensor(case, "loss", DType::F64)?)?;
    let grads = loss.backward()?;
    let mut worst = 0f64;
    for (name, input) in names.iter().zip(&inputs) {
        let Some(grad) = grads.get(input) else { candle_core::bail!("{case}: no gradient reaches {name}") };
        worst = worst.max(relative_error(grad, &golden.tensor(case, &format!("grad_{name}"), DType::F64)?)?);
    }
    Ok((value, worst))
}

#[test]
fn losses_agree_with_the_golden_values() {
    let golden = Golden::open("losses").unwrap();
    println!("{:<34} {:>9} {:>9} {:>9} {:>9}", "case", "f32 value", "gradient", "f64 value", "gradient");
    let (mut covered, mut wrong) = (0, Vec::new());
    for row in &golden.rows {
        let case = Golden::case(row);
        let Some((names, run)) = run(&golden, row).unwrap() else {
            println!("{case:<34} not covered: this loss is not built yet");
            continue;
        };
        let (value32, grad32) = errors(&golden, row, &names, &run, DType::F32).unwrap();
        let (value64, grad64) = errors(&golden, row, &names, &run, DType::F64).unwrap();
        println!("{case:<34} {value32:9.1e} {grad32:9.1e} {value64:9.1e} {grad64:9.1e}");
        covered += 1;
        if value32 > F32.0 || grad32 > F32.1 || value64 > F64.0 || grad64 > F64.1 {
            wrong.push(case);
        }
    }
    println!("{covered} of {} cases covered", golden.rows.len());
    assert!(wrong.is_empty(), "outside the tolerance: {wrong:?}");
    let least = if std::env::var_os("NPAIR_GOLDEN").is_some() { 1 } else { golden.rows.len() };
    assert!(covered >= least, "only {covered} cases were compared");
}
