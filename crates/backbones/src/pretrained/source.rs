use super::open::{INDEX, TORCH};
use crate::Error;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The file of a Hub repository that is taken unless one is named.
const USUAL_FILE: &str = "model.safetensors";

/// Where weights come from; written and read as a string.
///
/// ```
/// # use npair_backbones::Weights;
/// let weights: Weights = "hub:timm/resnet50.a1_in1k@main".parse()?;
/// let Weights::Hub { repo, revision, file } = &weights else { panic!() };
/// assert_eq!((&repo[..], &revision[..], &file[..]), ("timm/resnet50.a1_in1k", "main", "model.safetensors"));
/// assert_eq!("net.pth".parse::<Weights>()?, Weights::Pth("net.pth".into()));
/// assert_eq!("runs/first/checkpoints/best".parse::<Weights>()?.to_string(), "runs/first/checkpoints/best");
/// # Ok::<(), npair_backbones::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weights {
    /// A folder with `model.safetensors` (or shards of it, or `pytorch_model.bin`), and `config.json` if there is one: npair's own,
    /// a copy of a Hub repository, or the folder of a run, whose best checkpoint is taken.
    Folder(PathBuf),
    /// A `.safetensors` file, or the `.index.json` of several.
    Safetensors(PathBuf),
    /// A file of `torch.save` (`.pth`, `.pt`, `.bin`, `.ckpt`, `.pth.tar`, `.pkl`): a state dictionary, or a checkpoint that holds
    /// one.
    Pth(PathBuf),
    /// A file of a Hugging Face Hub repository: `hub:REPOSITORY[@REVISION][#FILE]`.
    Hub {
        /// `owner/name`.
        repo: String,
        /// A branch, tag or commit; `main`.
        revision: String,
        /// The file; `model.safetensors`.
        file: String,
    },
}

impl FromStr for Weights {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let Some(hub) = text.strip_prefix("hub:") else {
            let ends = |ending: &str| text.to_ascii_lowercase().ends_with(ending);
            return match text {
                "" => Err(Error::Weights {
                    weights: "\"\"".to_owned(),
                    cause: "no weights are named".to_owned(),
                    cure: "write hub:OWNER/NAME, a folder, or a .safetensors or .pth file".to_owned(),
                }),
                _ if ends(".safetensors") || ends(INDEX) => Ok(Self::Safetensors(text.into())),
                _ if TORCH.into_iter().any(ends) => Ok(Self::Pth(text.into())),
                _ => Ok(Self::Folder(text.into())),
            };
        };
        let (rest, file) = hub.split_once('#').unwrap_or((hub, USUAL_FILE));
        let (repo, revision) = rest.split_once('@').unwrap_or((rest, "main"));
        // What goes into addresses and paths of the cache has to be plain.
        let plain = |part: &str| {
            !part.is_empty()
                && !part.split('/').any(|word| matches!(word, "" | "." | ".."))
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        };
        if !plain(repo) || !plain(revision) || !plain(file) || repo.split('/').count() > 2 {
            return Err(Error::Weights {
                weights: text.to_owned(),
                cause: "this names no file on the Hub".to_owned(),
                cure: "write hub:OWNER/NAME, hub:OWNER/NAME@REVISION or hub:OWNER/NAME@REVISION#FILE".to_owned(),
            });
        }
        Ok(Self::Hub { repo: repo.to_owned(), revision: revision.to_owned(), file: file.to_owned() })
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) | Self::Safetensors(path) | Self::Pth(path) => write!(f, "{}", path.display()),
            Self::Hub { repo, revision, file } => {
                write!(f, "hub:{repo}@{revision}")?;
                if file == USUAL_FILE { Ok(()) } else { write!(f, "#{file}") }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read_as_they_are_written() {
        for text in ["a/b", "a/b.safetensors", "x.pth", "hub:timm/x@v1", "hub:gpt2@main#a/b.pth"] {
            assert_eq!(text.parse::<Weights>().unwrap().to_string(), text);
        }
        assert_eq!("hub:timm/x".parse::<Weights>().unwrap().to_string(), "hub:timm/x@main");
        assert!(matches!("X.PT".parse(), Ok(Weights::Pth(_))));
    }

    #[test]
    fn what_could_leave_the_cache_is_refused() {
        for text in
            ["", "hub:", "hub:a/b/c", "hub:../x", "hub:a/b#../../x", "hub:a/b@", "hub:a b", "hub:a/b#x?y", "hub:a/b#/x"]
        {
            let message = text.parse::<Weights>().unwrap_err().to_string();
            assert!(message.contains("write hub:OWNER/NAME"), "{text}: {message}");
        }
    }
}
