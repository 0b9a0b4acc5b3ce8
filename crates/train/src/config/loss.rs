use npair_batch::Mining;
use npair_losses::{Band, NormForm, Reducer};
use serde::{Deserialize, Serialize};

/// The loss, by name; it decides which sampler fills the batches. Settings that are left out have the value given here, which is
/// that of the loss's paper where it names one. (Variants without settings have braces all the same: only then are unknown keys
/// refused.)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LossConfig {
    /// Multi-class N-pair loss, equation 7.
    NPairMc {},
    /// The same in both directions.
    NPairMcSymmetric {},
    /// One-vs-one N-pair loss, equation 8.
    NPairOvo {},
    /// The paper's "triplet": smooth, without a margin, equation 4.
    Triplet {},
    /// Triplet with a margin, equation 2.
    TripletMargin {
        /// m; the paper names no value.
        margin: f64,
    },
    /// Triplet without a margin, equation 5.
    TripletMarginFree {},
    /// Contrastive, equation 1, over all pairs of the batch.
    Contrastive {
        /// m; the paper names no value.
        margin: f64,
    },
    /// (N+1)-tuplets with their own negatives, equation 3.
    Tuplet {},
    /// NCA-style, equation 9.
    NcaStyle {},
    /// N-pair loss for more than two examples a class.
    MultiPositiveNPair {},
    /// Softmax classifier over the training classes.
    Softmax {},
    /// Lifted structure (Song et al., 2016).
    LiftedStructure {
        /// Margin of negatives; 1.0.
        #[serde(default = "usual::lifted_structure_negative")]
        negative: f64,
        /// Margin of positives; 0.0.
        #[serde(default = "usual::lifted_structure_positive")]
        positive: f64,
    },
    /// Lifted structure over whole rows (Hermans et al., 2017).
    GeneralisedLiftedStructure {
        /// Margin of negatives; 1.0.
        #[serde(default = "usual::generalised_lifted_structure_negative")]
        negative: f64,
        /// Margin of positives; 0.0.
        #[serde(default = "usual::generalised_lifted_structure_positive")]
        positive: f64,
    },
    /// Histogram loss (Ustinova and Lempitsky, 2016).
    Histogram {
        /// Nodes of the histograms of cosines; 201.
        #[serde(default = "usual::histogram_nodes")]
        nodes: usize,
    },
    /// Angular loss (Wang et al., 2017).
    Angular {
        /// alpha; 40.0.
        #[serde(default = "usual::angular_degrees")]
        degrees: f64,
    },
    /// Tuplet margin loss (Yu and Tao, 2019).
    TupletMargin {
        /// Slack angle; 5.73.
        #[serde(default = "usual::tuplet_margin_degrees")]
        degrees: f64,
        /// s; 64.0.
        #[serde(default = "usual::tuplet_margin_scale")]
        scale: f64,
    },
    /// Farthest positive and nearest negative of every anchor, with a margin (Hermans et al., 2017).
    TripletBatchHard {
        /// m; 0.2.
        #[serde(default = "usual::triplet_batch_hard_margin")]
        margin: f64,
    },
    /// The same with the soft margin.
    TripletBatchHardSoft {},
    /// All triplets of the batch, with a margin.
    TripletMarginAll {
        /// m; 0.05.
        #[serde(default = "usual::triplet_margin_all_margin")]
        margin: f64,
        /// How terms become one number; mean-of-non-zero.
        #[serde(default)]
        reducer: ReducerName,
    },
    /// All pairs of the batch, with two margins, of unit embeddings.
    ContrastiveAll {
        /// Margin of pairs of one class; 0.0.
        #[serde(default = "usual::contrastive_all_positive")]
        positive: f64,
        /// Margin of pairs of two classes; 1.0.
        #[serde(default = "usual::contrastive_all_negative")]
        negative: f64,
        /// How terms become one number; mean-of-non-zero.
        #[serde(default)]
        reducer: ReducerName,
    },
    /// FastAP (Cakir et al., 2019).
    FastAp {
        /// Bins of the histograms of distances; 10.
        #[serde(default = "usual::fast_ap_bins")]
        bins: usize,
    },
    /// Smooth-AP (Brown et al., 2020).
    SmoothAp {
        /// T of the sigmoid; 0.01.
        #[serde(default = "usual::smooth_ap_temperature")]
        temperature: f64,
    },
    /// Ranked list loss (Wang et al., 2019).
    RankedList {
        /// Distance that negatives are pushed beyond; 1.2.
        #[serde(default = "usual::ranked_list_boundary")]
        boundary: f64,
        /// How much nearer positives are pulled; 0.4.
        #[serde(default = "usual::ranked_list_margin")]
        margin: f64,
        /// Weight of hard negatives, 0 for all the same; 10.0.
        #[serde(default = "usual::ranked_list_temperature")]
        temperature: f64,
        /// Part of the negatives in the loss; 0.5.
        #[serde(default = "usual::ranked_list_balance")]
        balance: f64,
    },
    /// Multi-similarity (Wang et al., 2019).
    MultiSimilarity {
        /// Sharpness of positives; 2.0.
        #[serde(default = "usual::multi_similarity_alpha")]
        alpha: f64,
        /// Sharpness of negatives; 50.0.
        #[serde(default = "usual::multi_similarity_beta")]
        beta: f64,
        /// The cosine around which both turn; 0.5.
        #[serde(default = "usual::multi_similarity_base")]
        base: f64,
    },
    /// Circle loss (Sun et al., 2020).
    Circle {
        /// m; 0.4.
        #[serde(default = "usual::circle_margin")]
        margin: f64,
        /// Scale; 80.0.
        #[serde(default = "usual::circle_gamma")]
        gamma: f64,
    },
    /// NT-Xent (Chen et al., 2020).
    NtXent {
        /// T; 0.07.
        #[serde(default = "usual::nt_xent_temperature")]
        temperature: f64,
    },
    /// Supervised contrastive (Khosla et al., 2020).
    SupCon {
        /// T; 0.1.
        #[serde(default = "usual::sup_con_temperature")]
        temperature: f64,
    },
    /// SphereFace (Liu et al., 2017).
    SphereFace {
        /// How often the angle is taken; 4.
        #[serde(default = "usual::sphere_face_margin")]
        margin: u32,
        /// s; 1.0.
        #[serde(default = "usual::sphere_face_scale")]
        scale: f64,
    },
    /// CosFace (Wang et al., 2018).
    CosFace {
        /// m; 0.35.
        #[serde(default = "usual::cos_face_margin")]
        margin: f64,
        /// s; 64.0.
        #[serde(default = "usual::cos_face_scale")]
        scale: f64,
    },
    /// ArcFace (Deng et al., 2019).
    ArcFace {
        /// m in degrees; 28.6.
        #[serde(default = "usual::arc_face_margin")]
        margin: f64,
        /// s; 64.0.
        #[serde(default = "usual::arc_face_scale")]
        scale: f64,
    },
    /// ArcFace with several centres a class (Deng et al., 2020).
    SubCentreArcFace {
        /// Centres of a class; 3.
        #[serde(default = "usual::sub_centre_arc_face_centres")]
        centres: usize,
        /// m in degrees; 28.6.
        #[serde(default = "usual::arc_face_margin")]
        margin: f64,
        /// s; 64.0.
        #[serde(default = "usual::arc_face_scale")]
        scale: f64,
    },
    /// Softmax over cosines (Zhai and Wu, 2019).
    NormalisedSoftmax {
        /// T; 0.05.
        #[serde(default = "usual::normalised_softmax_temperature")]
        temperature: f64,
    },
    /// Proxy-NCA (Movshovitz-Attias et al., 2017).
    ProxyNca {
        /// s; 1.0.
        #[serde(default = "usual::proxy_nca_scale")]
        scale: f64,
    },
    /// Proxy-anchor (Kim et al., 2020).
    ProxyAnchor {
        /// Sharpness; 32.0.
        #[serde(default = "usual::proxy_anchor_alpha")]
        alpha: f64,
        /// m; 0.1.
        #[serde(default = "usual::proxy_anchor_margin")]
        margin: f64,
    },
    /// SoftTriple (Qian et al., 2019).
    SoftTriple {
        /// Centres of a class; 10.
        #[serde(default = "usual::soft_triple_centres")]
        centres: usize,
        /// What logits are multiplied by; 20.0.
        #[serde(default = "usual::soft_triple_lambda")]
        lambda: f64,
        /// Margin; 0.01.
        #[serde(default = "usual::soft_triple_margin")]
        margin: f64,
        /// Temperature among the centres of a class; 0.1.
        #[serde(default = "usual::soft_triple_gamma")]
        gamma: f64,
    },
    /// Margin loss with a learned boundary for every class (Wu et al., 2017).
    Margin {
        /// Half the gap around the boundary; 0.2.
        #[serde(default = "usual::margin_margin")]
        margin: f64,
        /// How terms become one number; mean-of-non-zero.
        #[serde(default)]
        reducer: ReducerName,
    },
    /// Sigmoid loss of N pairs (Zhai et al., 2023), its temperature and bias learned.
    SigLip {},
    /// Several losses, weighed and added.
    WeightedSum {
        /// The losses.
        parts: Vec<PartConfig>,
    },
}

/// A part of a weighted sum of losses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartConfig {
    /// What it is multiplied by.
    pub weight: f64,
    /// The loss: its name and settings.
    #[serde(flatten)]
    pub loss: LossConfig,
}

impl LossConfig {
    /// The name, as in `loss.name`.
    pub fn name(&self) -> String {
        let table = toml::Table::try_from(self).unwrap_or_default();
        table.get("name").and_then(toml::Value::as_str).unwrap_or("this loss").to_owned()
    }

    pub(crate) fn is_sum(&self) -> bool {
        matches!(self, Self::WeightedSum { .. })
    }

    /// Whether this loss takes exactly two examples of every class, as pairs, or as the triplets made of them.
    pub(crate) fn takes_pairs(&self) -> bool {
        match self {
            Self::NPairMc {} | Self::NPairMcSymmetric {} | Self::NPairOvo {} | Self::SigLip {} => true,
            Self::Triplet {} | Self::TripletMargin { .. } | Self::TripletMarginFree {} => true,
            Self::WeightedSum { parts } => parts.iter().any(|part| part.loss.takes_pairs()),
            _ => false,
        }
    }
}

/// Values of settings that are left out.
mod usual {
    macro_rules! values {
        ($($name:ident: $kind:ty = $value:expr;)*) => {
            $(pub(super) fn $name() -> $kind {
                $value
            })*
        };
    }

    values! {
        lifted_structure_negative: f64 = 1.0;
        lifted_structure_positive: f64 = 0.0;
        generalised_lifted_structure_negative: f64 = 1.0;
        generalised_lifted_structure_positive: f64 = 0.0;
        histogram_nodes: usize = 201;
        angular_degrees: f64 = 40.0;
        tuplet_margin_degrees: f64 = 5.73;
        tuplet_margin_scale: f64 = 64.0;
        triplet_batch_hard_margin: f64 = 0.2;
        triplet_margin_all_margin: f64 = 0.05;
        contrastive_all_positive: f64 = 0.0;
        contrastive_all_negative: f64 = 1.0;
        fast_ap_bins: usize = 10;
        smooth_ap_temperature: f64 = 0.01;
        ranked_list_boundary: f64 = 1.2;
        ranked_list_margin: f64 = 0.4;
        ranked_list_temperature: f64 = 10.0;
        ranked_list_balance: f64 = 0.5;
        multi_similarity_alpha: f64 = 2.0;
        multi_similarity_beta: f64 = 50.0;
        multi_similarity_base: f64 = 0.5;
        circle_margin: f64 = 0.4;
        circle_gamma: f64 = 80.0;
        nt_xent_temperature: f64 = 0.07;
        sup_con_temperature: f64 = 0.1;
        sphere_face_margin: u32 = 4;
        sphere_face_scale: f64 = 1.0;
        cos_face_margin: f64 = 0.35;
        cos_face_scale: f64 = 64.0;
        arc_face_margin: f64 = 28.6;
        arc_face_scale: f64 = 64.0;
        sub_centre_arc_face_centres: usize = 3;
        normalised_softmax_temperature: f64 = 0.05;
        proxy_nca_scale: f64 = 1.0;
        proxy_anchor_alpha: f64 = 32.0;
        proxy_anchor_margin: f64 = 0.1;
        soft_triple_centres: usize = 10;
        soft_triple_lambda: f64 = 20.0;
        soft_triple_margin: f64 = 0.01;
        soft_triple_gamma: f64 = 0.1;
        margin_margin: f64 = 0.2;
    }
}

/// How the terms of a hinged loss become one number.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ReducerName {
    /// Mean over all terms.
    Mean,
    /// Mean over the terms above 0.
    #[default]
    MeanOfNonZero,
    /// Sum.
    Sum,
    /// Mean over anchors of the means of their terms.
    MeanPerAnchor,
    /// Mean over classes of the means of their anchors' terms.
    MeanPerClass,
    /// Mean over the terms within a band.
    MeanWithin {
        /// Terms above this.
        low: f64,
        /// Terms below this; `inf` for no limit.
        high: f64,
    },
}

impl ReducerName {
    pub(crate) fn reducer(self) -> npair_losses::Result<Reducer> {
        Ok(match self {
            Self::Mean => Reducer::Mean,
            Self::MeanOfNonZero => Reducer::MeanOfNonZero,
            Self::Sum => Reducer::Sum,
            Self::MeanPerAnchor => Reducer::MeanPerAnchor,
            Self::MeanPerClass => Reducer::MeanPerClass,
            Self::MeanWithin { low, high } => Reducer::MeanWithin(Band::new(low, high)?),
        })
    }
}

impl Default for LossConfig {
    fn default() -> Self {
        Self::NPairMc {}
    }
}

/// Form of the norm penalty; see [`NormForm`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormPenaltyForm {
    /// Mean of the squared norms.
    #[default]
    MeanSquare,
    /// A quarter of each side's mean (TensorFlow).
    QuarterPerSide,
    /// Sum over the batch per pair.
    SumPerPair,
    /// Mean of the plain norms.
    MeanNorm,
}

impl From<NormPenaltyForm> for NormForm {
    fn from(form: NormPenaltyForm) -> Self {
        match form {
            NormPenaltyForm::MeanSquare => Self::MeanSquare,
            NormPenaltyForm::QuarterPerSide => Self::QuarterPerSide,
            NormPenaltyForm::SumPerPair => Self::SumPerPair,
            NormPenaltyForm::MeanNorm => Self::MeanNorm,
        }
    }
}

/// Regularisation of the embeddings' norms. The paper has it, without a number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NormPenaltyConfig {
    /// Its weight; 0 for none.
    pub weight: f64,
    /// Its form.
    pub form: NormPenaltyForm,
}

impl Default for NormPenaltyConfig {
    fn default() -> Self {
        Self { weight: 0.002, form: NormPenaltyForm::MeanSquare }
    }
}

/// Batches and class mining.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// N, the classes of a batch.
    pub classes: usize,
    /// M, the examples per class; other than 2 only for losses of labelled batches: not those of pairs, triplets, tuplets.
    pub per_class: usize,
    /// Groups (alphabets) that the classes of a batch are taken from, more if they are too small; 0 for no regard to groups.
    pub groups: usize,
    /// Greedy negative class mining; none by default.
    pub mining: Option<Mining>,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self { classes: 60, per_class: 2, groups: 0, mining: None }
    }
}
