/// The layers of a network in their order, from its input on: of each the beginnings of its parameters' names, up to a dot.
///
/// # Examples
/// ```
/// # use npair_backbones::Stages;
/// let net = Stages::new().then(["conv1", "bn1"]).then(["layer1.0"]).below("backbone").then(["head"]);
/// assert_eq!((net.len(), net.depth_of("backbone.bn1.bias"), net.depth_of("head.weight")), (3, Some(0), Some(2)));
/// assert_eq!(net.depth_of("backbone.layer1.01.bias"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stages(Vec<Vec<String>>);

impl Stages {
    /// No layer yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a layer behind the others, whose parameters' names begin so.
    #[must_use]
    pub fn then(mut self, beginnings: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.0.push(beginnings.into_iter().map(Into::into).collect());
        self
    }

    /// With further parameters in the last layer, in one of its own if there is none.
    #[must_use]
    pub fn and(mut self, beginning: impl Into<String>) -> Self {
        match self.0.last_mut() {
            Some(last) => last.push(beginning.into()),
            None => self.0.push(vec![beginning.into()]),
        }
        self
    }

    /// The same as a part of a larger network, below `name`.
    #[must_use]
    pub fn below(mut self, name: &str) -> Self {
        for beginning in self.0.iter_mut().flatten() {
            *beginning = format!("{name}.{beginning}");
        }
        self
    }

    /// How many layers there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no layer.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The beginnings of the names of every layer, from the input on.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &[String]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// The layer that a parameter is in, counted from 0 at the input; none if it is in no layer.
    pub fn depth_of(&self, parameter: &str) -> Option<usize> {
        let begins = |beginning: &String| {
            parameter.strip_prefix(beginning.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.0.iter().position(|stage| stage.iter().any(begins))
    }
}
