use crate::{Error, Result, Weights};
use std::path::PathBuf;

/// How the Hugging Face Hub is reached. Nothing is read from the environment here: whoever runs the program decides.
///
/// What an endpoint says is not trusted: no header of an answer can make a file be written outside the cache, and the token goes to
/// the endpoint itself alone, not where a redirect leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hub {
    /// Folder of the cache, shared with Python's `huggingface_hub`; needed.
    pub cache: Option<PathBuf>,
    /// For private repositories; without it that of `huggingface-cli login`, beside the cache, if there is one.
    pub token: Option<String>,
    /// Another address than the Hub's own.
    pub endpoint: Option<String>,
    /// Takes files from the cache alone and touches no network.
    pub offline: bool,
}

/// A file of a repository, from the cache or fetched into it.
pub(super) fn file(hub: &Hub, weights: &Weights, repo: &str, revision: &str, name: &str) -> Result<PathBuf> {
    let fail =
        |cause: String, cure: &str| Error::Weights { weights: weights.to_string(), cause, cure: cure.to_owned() };
    let Some(folder) = &hub.cache else {
        return Err(fail("there is no folder for the Hub's cache".to_owned(), "set HF_HOME to a folder"));
    };
    let cache = super::cache::Cache::of(folder, repo);
    if let Some(path) = cache.find(revision, name) {
        return Ok(path);
    }
    if hub.offline {
        let cause =
            format!("{name} is not in the cache {}, and the Hub is not asked (HF_HUB_OFFLINE)", folder.display());
        return Err(fail(cause, "fetch it once while online, or give the path of the file"));
    }
    #[cfg(not(feature = "hub"))]
    return Err(fail(
        format!("this build cannot fetch {name} from the Hub"),
        "build with the feature `hub`, or download the file and give its path",
    ));
    #[cfg(feature = "hub")]
    super::fetch::fetch(hub, &cache, repo, revision, name).map_err(|cause| {
        let cure =
            "check the name, the network, and HF_TOKEN if the repository is private; or download it and give its path";
        fail(format!("{name} cannot be fetched ({})", super::weights_file::one_line(&cause)), cure)
    })
}
