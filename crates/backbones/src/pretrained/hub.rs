use crate::{Error, Result, Weights};
use std::path::PathBuf;

/// How the Hugging Face Hub is reached. Nothing is read from the environment here: whoever runs the program decides.
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
#[cfg(feature = "hub")]
pub(super) fn file(hub: &Hub, weights: &Weights, repo: &str, revision: &str, name: &str) -> Result<PathBuf> {
    use hf_hub::{Cache, Repo, RepoType, api::sync::ApiBuilder};
    let fail =
        |cause: String, cure: &str| Error::Weights { weights: weights.to_string(), cause, cure: cure.to_owned() };
    let Some(cache) = &hub.cache else {
        return Err(fail("there is no folder for the Hub's cache".to_owned(), "set HF_HOME to a folder"));
    };
    let repository = Repo::with_revision(repo.to_owned(), RepoType::Model, revision.to_owned());
    let cache = Cache::new(cache.clone());
    if let Some(path) = cache.repo(repository.clone()).get(name) {
        return Ok(path);
    }
    if hub.offline {
        let cause =
            format!("{name} is not in the cache {}, and the Hub is not asked (HF_HUB_OFFLINE)", cache.path().display());
        return Err(fail(cause, "fetch it once while online, or give the path of the file"));
    }
    let mut builder = ApiBuilder::from_cache(cache).with_progress(false).with_retries(2);
    if let Some(endpoint) = &hub.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    if hub.token.is_some() {
        builder = builder.with_token(hub.token.clone());
    }
    let fetched = builder.build().and_then(|api| api.repo(repository).get(name));
    fetched.map_err(|e| {
        let cause = format!("{name} cannot be fetched ({})", super::weights_file::one_line(&e));
        let cure =
            "check the name, the network, and HF_TOKEN if the repository is private; or download it and give its path";
        fail(cause, cure)
    })
}

#[cfg(not(feature = "hub"))]
pub(super) fn file(_hub: &Hub, weights: &Weights, _repo: &str, _revision: &str, name: &str) -> Result<PathBuf> {
    Err(Error::Weights {
        weights: weights.to_string(),
        cause: format!("this build cannot fetch {name} from the Hub"),
        cure: "build with the feature `hub`, or download the file and give its path".to_owned(),
    })
}
