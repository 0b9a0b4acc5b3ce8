use super::{Inputs, View};
use crate::{Error, Result, Vectors};
use candle_core::{Device, Tensor};
use npair_types::{ClassId, ExampleId, Labels};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The rows of a matrix as inputs: vectors of any origin, which are never changed at random.
///
/// # Shapes
/// (B, F) in f32.
///
/// # Examples
/// ```
/// # use npair_evaluate::{Inputs, VectorInputs, View};
/// # use npair_types::{ExampleId, Labels};
/// let rows = VectorInputs::new("words", vec![1., 2., 3., 4.], 2, Labels::new([5, 6])?)?;
/// let picked = rows.load(&[ExampleId(1), ExampleId(0)], View::PLAIN)?;
/// assert_eq!(picked.to_vec2::<f32>()?, [[3., 4.], [1., 2.]]);
/// # Ok::<(), npair_evaluate::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct VectorInputs {
    name: String,
    /// All values, shared by the sides of a split.
    values: Arc<[f32]>,
    width: usize,
    /// The rows taken, in their order.
    rows: Arc<[usize]>,
    labels: Labels,
    /// What every row of the matrix is called; empty if unknown.
    names: Arc<[String]>,
    /// What classes are called; empty if unknown.
    classes: Arc<BTreeMap<ClassId, String>>,
}

impl VectorInputs {
    /// Rows of width F, one after the other, and a label of each.
    ///
    /// # Errors
    /// [`Error::Setting`] if values, width and labels do not fit each other, or a value is not finite.
    pub fn new(name: impl Into<String>, values: Vec<f32>, width: usize, labels: Labels) -> Result<Self> {
        let wrong = |why: String| Err(Error::Setting { setting: "vectors", why });
        if width == 0 || values.len() != width * labels.len() {
            return wrong(format!("{} values are not {} rows of width {width}", values.len(), labels.len()));
        }
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return wrong(format!("row {} is not finite (NaN or infinity)", at / width));
        }
        let rows = (0..labels.len()).collect();
        Ok(Self {
            name: name.into(),
            values: values.into(),
            width,
            rows,
            labels,
            names: Arc::from([]),
            classes: Arc::default(),
        })
    }

    /// Vectors as a file had them.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are no labels, and those of [`new`](Self::new).
    pub fn of_file(name: impl Into<String>, file: Vectors) -> Result<Self> {
        let Vectors { values, width, labels, names, classes } = file;
        let labels = labels.ok_or_else(|| Error::Setting {
            setting: "labels",
            why: "there are none: give a file of them, vectors=FILE,labels=FILE".to_owned(),
        })?;
        let names = if names.len() == labels.len() { names.into() } else { Arc::from([]) };
        let classes = Arc::new(labels.as_slice().iter().copied().zip(classes).collect());
        Ok(Self { names, classes, ..Self::new(name, values, width, labels)? })
    }

    /// Some of the rows, in the order given, under the name "`name` / `part`"; values are shared.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are none or one is not there.
    pub fn subset(&self, part: &str, examples: &[ExampleId]) -> Result<Self> {
        let wrong = |why: String| Error::Setting { setting: "vectors", why };
        if let Some(beyond) = examples.iter().find(|id| id.0 >= self.rows.len()) {
            return Err(wrong(format!("row {beyond} of {} does not exist", self.rows.len())));
        }
        let labels = Labels::from_ids(examples.iter().map(|id| self.labels.get(id.0)).collect())?;
        let rows = examples.iter().map(|id| self.rows[id.0]).collect();
        Ok(Self { name: format!("{} / {part}", self.name), rows, labels, ..self.clone() })
    }

    /// The same rows under other labels.
    ///
    /// # Errors
    /// [`Error::Setting`] unless there is one for each.
    pub fn with_labels(self, labels: Labels) -> Result<Self> {
        if labels.len() != self.rows.len() {
            let why = format!("{} for {} rows", labels.len(), self.rows.len());
            return Err(Error::Setting { setting: "labels", why });
        }
        Ok(Self { labels, ..self })
    }

    /// F, the width of a row.
    pub fn width(&self) -> usize {
        self.width
    }
}

impl Inputs for VectorInputs {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn load(&self, ids: &[ExampleId], view: View) -> Result<Tensor> {
        if view.quarter_turns() > 0 {
            let why = "is more than 1, but vectors cannot be turned; set it to 1".to_owned();
            return Err(Error::Setting { setting: "tta.rotations", why });
        }
        let mut values = Vec::with_capacity(ids.len() * self.width);
        for id in ids {
            let Some(&row) = self.rows.get(id.0) else {
                let why = format!("row {id} of {} does not exist", self.rows.len());
                return Err(Error::Setting { setting: "vectors", why });
            };
            values.extend_from_slice(&self.values[row * self.width..][..self.width]);
        }
        Ok(Tensor::from_vec(values, (ids.len(), self.width), &Device::Cpu)?)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self, example: ExampleId) -> String {
        let row = self.rows.get(example.0).copied().unwrap_or(example.0);
        self.names.get(row).cloned().unwrap_or_else(|| format!("row {row}"))
    }

    fn class_name(&self, class: ClassId) -> String {
        self.classes.get(&class).cloned().unwrap_or_else(|| class.to_string())
    }

    fn chunk(&self) -> usize {
        // Some megabytes at a time: a row is little work, so many are taken together.
        ((1 << 20) / self.width).clamp(240, 1 << 16)
    }
}
