use super::source::absolute;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// What is trained: the settings that all methods share, and the methods.
pub struct Experiment {
    /// The shared settings' file.
    pub config: PathBuf,
    /// `--data` of every run.
    pub data: String,
    /// What the data is, and what for it stands in.
    pub description: String,
    /// Settings beyond the file's, `key=value`.
    pub sets: Vec<String>,
    pub methods: Vec<Method>,
}

/// A method, and the settings in which it differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    pub name: String,
    pub sets: Vec<String>,
    /// Whether it is run when no methods are named.
    pub is_usual: bool,
}

impl Experiment {
    pub fn read(root: &Path, data: &str, config: Option<&Path>, steps: Option<u64>) -> Result<Self> {
        let folder = root.join("xtask/experiments");
        let methods = methods(&folder)?;
        let (usual, data, description) = match data.split_once('=') {
            _ if data == "glyphs" => (
                Some("reproduce.toml"),
                data.to_owned(),
                "the built-in glyph set (made-up characters), a stand-in for the paper's data sets".to_owned(),
            ),
            Some(("omniglot", path)) => (
                Some("omniglot.toml"),
                format!("omniglot={}", absolute(path)?),
                "Omniglot (Lake et al., 2015), a stand-in for the paper's data sets".to_owned(),
            ),
            _ => (None, absolute(data)?, "your own pictures, a stand-in for the paper's data sets".to_owned()),
        };
        let config = match (config, usual) {
            (Some(file), _) => file.canonicalize().with_context(|| format!("{}: no such file", file.display()))?,
            (None, Some(usual)) => folder.join(usual),
            (None, None) => bail!("a folder of pictures has no usual experiment: give --config FILE"),
        };
        let sets = steps.iter().map(|n| format!("training.steps={n}")).collect();
        Ok(Self { config, data, description, sets, methods })
    }
}

impl Experiment {
    /// Keeps the methods of these names; the usual ones if there are none.
    pub fn keep(&mut self, names: &[String]) -> Result<()> {
        let known: Vec<&str> = self.methods.iter().map(|m| m.name.as_str()).collect();
        if let Some(name) = names.iter().find(|n| !known.contains(&n.as_str())) {
            bail!("`{name}` is no method; there are {}", known.join(", "));
        }
        self.methods.retain(|m| if names.is_empty() { m.is_usual } else { names.contains(&m.name) });
        Ok(())
    }
}

/// The methods of methods.toml.
pub fn methods(folder: &Path) -> Result<Vec<Method>> {
    let file = folder.join("methods.toml");
    let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    parse(&text).with_context(|| format!("{} is not understood", file.display()))
}

/// Tables of `set`, in the paper's order of columns.
fn parse(text: &str) -> Result<Vec<Method>> {
    let tables: toml::Table = text.parse()?;
    let order = [
        "triplet",
        "triplet-nm",
        "lifted-structure",
        "n-pair-ovo",
        "n-pair-ovo-nm",
        "n-pair-mc",
        "n-pair-mc-nm",
        "n-pair-mc-large",
        "softmax",
        "n-pair-mc-symmetric",
        "nca-60x2",
        "nca-30x4",
        "nca-10x12",
    ];
    if let Some(name) = tables.keys().find(|name| !order.contains(&name.as_str())) {
        bail!("`{name}` is no method; there are {}", order.join(", "));
    }
    let read = |name: &str| -> Result<Method> {
        let list = tables.get(name).and_then(|t| t.get("set")).and_then(|s| s.as_array());
        let list = list.with_context(|| format!("[{name}] has no list `set`"))?;
        let words = list.iter().map(|v| v.as_str().map(str::to_owned).context("an entry of `set` is no string"));
        let is_usual = tables.get(name).and_then(|t| t.get("usual")?.as_bool()).unwrap_or(true);
        Ok(Method { name: name.to_owned(), sets: words.collect::<Result<_>>()?, is_usual })
    };
    order.iter().map(|name| read(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_project_are_read() {
        let root = crate::tree::root().unwrap();
        let mut experiment = Experiment::read(&root, "glyphs", None, Some(7)).unwrap();
        assert_eq!(experiment.methods.len(), 13);
        assert!(experiment.keep(&["mc".to_owned()]).unwrap_err().to_string().contains("`mc` is no method"));
        experiment.keep(&[]).unwrap();
        // The paper's five, unless others are named.
        assert_eq!(experiment.methods.len(), 5);
        assert!(experiment.methods[1].sets.iter().any(|s| s.starts_with("batch.mining.")));
        assert_eq!(experiment.sets, ["training.steps=7"]);
        assert!(Experiment::read(&root, ".", None, None).is_err());
    }

    #[test]
    fn methods_are_those_of_the_paper() {
        assert!(parse("[other]\nset = []").unwrap_err().to_string().contains("`other` is no method"));
        assert!(parse("[triplet]\nset = []").unwrap_err().to_string().contains("[triplet-nm] has no list"));
    }
}
