//! What is compared: a program of ours, those of others that do the same, and what they are asked.

/// One comparison, as both sides are told to set it up.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    /// As tables name it.
    pub title: String,
    /// The program of npair-benches, and its arguments.
    pub binary: &'static str,
    pub ours: Vec<String>,
    pub peers: Vec<Other>,
    pub requests: Vec<&'static str>,
    /// Rounds that one request may take at most, where a round takes long.
    pub rounds: u32,
    /// Values that both sides tell when they are started with `--values`, and how much of the peer's they may differ by.
    pub values: Vec<(&'static str, f64)>,
}

/// A program in benches/peers.
#[derive(Debug)]
pub struct Other {
    /// What it is, as tables name it.
    pub label: &'static str,
    pub script: &'static str,
    pub arguments: Vec<String>,
}

/// A network: the backbone in npair's `config.json`, its name in architectures.py, a batch of pictures.
struct Network {
    name: &'static str,
    backbone: &'static str,
    peer: &'static str,
    batch: u32,
    channels: u32,
    size: u32,
    embedding: u32,
    dropout: f64,
}

const NETWORKS: [Network; 7] = [
    Network {
        name: "conv-net",
        backbone: r#"{"architecture":"conv-net"}"#,
        peer: "conv-net",
        batch: 120,
        channels: 1,
        size: 28,
        embedding: 64,
        dropout: 0.,
    },
    Network {
        name: "casia-net",
        backbone: r#"{"architecture":"casia-net"}"#,
        peer: "casia-net",
        batch: 32,
        channels: 1,
        size: 100,
        embedding: 320,
        dropout: 0.4,
    },
    Network {
        name: "google-net",
        backbone: r#"{"architecture":"googlenet"}"#,
        peer: "googlenet",
        batch: 16,
        channels: 3,
        size: 224,
        embedding: 512,
        dropout: 0.2,
    },
    Network {
        name: "res-net-50",
        backbone: r#"{"architecture":"resnet50"}"#,
        peer: "resnet50",
        batch: 8,
        channels: 3,
        size: 224,
        embedding: 512,
        dropout: 0.,
    },
    Network {
        name: "vit-s16",
        backbone: r#"{"architecture":"vit-s16"}"#,
        peer: "vit-s16",
        batch: 8,
        channels: 3,
        size: 224,
        embedding: 512,
        dropout: 0.,
    },
    Network {
        name: "convnext-t",
        backbone: r#"{"architecture":"convnext-t"}"#,
        peer: "convnext-t",
        batch: 8,
        channels: 3,
        size: 224,
        embedding: 512,
        dropout: 0.,
    },
    Network {
        name: "efficientnet-lite0",
        backbone: r#"{"architecture":"efficientnet-lite0"}"#,
        peer: "efficientnet-lite0",
        batch: 16,
        channels: 3,
        size: 224,
        embedding: 512,
        dropout: 0.,
    },
];

/// PyTorch in its own layout, in the one that oneDNN likes, and compiled.
const WAYS: [(&str, &[&str]); 3] = [
    ("PyTorch, channels-first", &["--layout", "channels-first"]),
    ("PyTorch, channels-last", &["--layout", "channels-last"]),
    ("PyTorch, compiled", &["--layout", "channels-last", "--compile"]),
];

/// Pairs of N-pair-mc at D = 512, and the rounds that there is time for.
const PAIRS: [(u32, u32); 3] = [(1024, 40), (4096, 15), (16_384, 7)];

/// Names that both sides know: benches/peers/losses.py and the registry. Left out are those for
/// which the peer needs half a minute or B^3 numbers: lifted structure, smooth-AP, all triplets, NT-Xent;
/// and the margin loss, which fails there with this version of PyTorch.
const LOSSES: [&str; 17] = [
    "multi-similarity",
    "batch-hard-triplet",
    "pairwise-contrastive",
    "generalized-lifted-structure",
    "circle",
    "fast-ap",
    "ranked-list",
    "histogram",
    "sup-con",
    "tuplet-margin",
    "angular",
    "proxy-nca",
    "proxy-anchor",
    "arc-face",
    "cos-face",
    "normalized-softmax",
    "soft-triple",
];

/// Rows of Stanford Online Products' test set.
const PRODUCTS: u32 = 60_502;
const NEIGHBOURS: [u32; 2] = [10, 1000];
const SEARCHES: u32 = 3;
/// Its classes, as many as clusters are looked for, and how often centres move.
const CLASSES: u32 = 11_316;
const ROUNDS: u32 = 5;

impl Case {
    /// All, each side with so many threads.
    pub fn all(threads: u32) -> Vec<Self> {
        let networks =
            NETWORKS.iter().flat_map(|network| ["f32", "bf16"].map(|precision| network.case(precision, threads)));
        let losses = PAIRS.iter().map(|&(n, rounds)| n_pair_mc(n, rounds, threads));
        let searches = NEIGHBOURS.iter().map(|&k| top_k(k, threads));
        let scores = [retrieval(threads), k_means(threads)];
        networks
            .chain(losses)
            .chain(searches)
            .chain(scores)
            .chain(LOSSES.iter().map(|name| of_a_batch(name, threads)))
            .collect()
    }

    /// Those that one of `only` names, or whose name contains it where none is named so; all if that is empty.
    pub fn pick(only: &[String], threads: u32) -> Vec<Self> {
        let all = Self::all(threads);
        let exact = |name: &String| all.iter().any(|case| case.name == *name);
        let (named, parts): (Vec<_>, Vec<_>) = only.iter().partition(|name| exact(name));
        let wanted = |case: &Self| {
            only.is_empty() || named.contains(&&case.name) || parts.iter().any(|part| case.name.contains(*part))
        };
        let wanted: Vec<bool> = all.iter().map(wanted).collect();
        all.into_iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(case, _)| case).collect()
    }

    pub fn names() -> String {
        Self::all(1).iter().map(|case| case.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl Network {
    /// With products of f32, or of bf16 on both sides.
    fn case(&self, precision: &'static str, threads: u32) -> Case {
        let numbers = [
            ("--batch", self.batch.to_string()),
            ("--channels", self.channels.to_string()),
            ("--size", self.size.to_string()),
            ("--embedding", self.embedding.to_string()),
            ("--dropout", self.dropout.to_string()),
            ("--threads", threads.to_string()),
            ("--precision", precision.to_owned()),
        ];
        let alike: Vec<String> = numbers.into_iter().flat_map(|(key, value)| [key.to_owned(), value]).collect();
        let peer = |(label, way): (&'static str, &[&str])| {
            let mut arguments = vec![self.peer.to_owned()];
            arguments.extend(alike.iter().cloned().chain(words(way)));
            Other { label, script: "networks.py", arguments }
        };
        let (suffix, of) = if precision == "f32" { ("", "") } else { ("-bf16", ", bf16") };
        Case {
            name: format!("{}{suffix}", self.name),
            title: format!("{}, {} x {} x {size} x {size}{of}", self.name, self.batch, self.channels, size = self.size),
            binary: "networks_peer",
            ours: std::iter::once(self.backbone.to_owned()).chain(alike.iter().cloned()).collect(),
            peers: WAYS.map(peer).into(),
            requests: vec!["step", "embed"],
            rounds: u32::MAX,
            values: Vec::new(),
        }
    }
}

fn n_pair_mc(n: u32, rounds: u32, threads: u32) -> Case {
    let (n_of, threads) = (n.to_string(), threads.to_string());
    Case {
        name: format!("n-pair-mc-{n}"),
        title: format!("N-pair-mc, N = {n}, D = 512"),
        binary: "similarity_peer",
        ours: words(&["n-pair-mc", &n_of, "--threads", &threads]),
        peers: vec![Other { label: "PyTorch", script: "matrix.py", arguments: words(&[&n_of, "--threads", &threads]) }],
        requests: vec!["step", "gemm"],
        rounds,
        values: Vec::new(),
    }
}

fn top_k(k: u32, threads: u32) -> Case {
    let [rows, k_of, threads] = [PRODUCTS, k, threads].map(|n| n.to_string());
    Case {
        name: format!("top-{k}"),
        title: format!("top {k} of {PRODUCTS} x 512 in itself"),
        binary: "similarity_peer",
        ours: words(&["top-k", &rows, &k_of, "--threads", &threads]),
        peers: vec![Other {
            label: "faiss, flat",
            script: "search.py",
            arguments: words(&[&rows, &k_of, "--threads", &threads]),
        }],
        requests: vec!["search"],
        rounds: SEARCHES,
        values: Vec::new(),
    }
}

/// Scores that the peer has too; a few near ties come out otherwise in f32.
const SCORES: [(&str, f64); 3] =
    [("precision_at_1", 1e-3), ("r_precision", 1e-3), ("mean_average_precision_at_r", 1e-3)];

fn retrieval(threads: u32) -> Case {
    let threads = threads.to_string();
    Case {
        name: "retrieval".to_owned(),
        title: format!("retrieval scores of {PRODUCTS} x 512, {CLASSES} classes"),
        binary: "metrics_peer",
        ours: words(&["retrieval", "--threads", &threads]),
        peers: vec![Other {
            label: "pytorch-metric-learning, faiss",
            script: "retrieval.py",
            arguments: words(&["--threads", &threads]),
        }],
        requests: vec!["scores"],
        rounds: SEARCHES,
        values: SCORES.into(),
    }
}

fn k_means(threads: u32) -> Case {
    let [rounds, threads] = [ROUNDS, threads].map(|n| n.to_string());
    // Classes that a cluster can find, so that rows still move in the last round.
    let arguments = words(&[&rounds, "--noise", "1.0", "--threads", &threads]);
    Case {
        name: "k-means".to_owned(),
        title: format!("k-means of {PRODUCTS} x 512, {CLASSES} clusters, {ROUNDS} rounds"),
        binary: "metrics_peer",
        ours: words(&["k-means"]).into_iter().chain(arguments.iter().cloned()).collect(),
        peers: vec![Other { label: "faiss", script: "k_means.py", arguments }],
        requests: vec!["cluster"],
        rounds: SEARCHES,
        // Other random starts.
        values: vec![("sse", 0.02)],
    }
}

fn of_a_batch(loss: &'static str, threads: u32) -> Case {
    let sizes = ["--batch", "1024", "--embedding", "128", "--per-class", "4", "--threads", &threads.to_string()];
    let arguments = words(&sizes);
    Case {
        name: format!("loss-{loss}"),
        title: format!("{loss}, 1,024 x 128, 256 classes of 4"),
        binary: "losses_peer",
        ours: arguments.clone(),
        peers: vec![Other { label: "pytorch-metric-learning", script: "losses.py", arguments }],
        requests: vec![loss],
        rounds: u32::MAX,
        values: Vec::new(),
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_picks_its_cases() {
        let names = |only: &str| Case::pick(&[only.to_owned()], 2).into_iter().map(|c| c.name).collect::<Vec<_>>();
        assert_eq!(names("top-10"), ["top-10"]);
        assert_eq!(names("top-1"), ["top-10", "top-1000"]);
        assert_eq!(names("n-pair"), ["n-pair-mc-1024", "n-pair-mc-4096", "n-pair-mc-16384"]);
        assert_eq!(names("loss-batch-hard"), ["loss-batch-hard-triplet"]);
        assert!(names("no such thing").is_empty());
        let case = &Case::pick(&["google".to_owned()], 3)[0];
        assert!(case.ours.windows(2).any(|two| two == ["--threads", "3"]), "{:?}", case.ours);
        assert_eq!(case.peers[1].arguments.last().map(String::as_str), Some("channels-last"));
        assert_eq!(names("vit"), ["vit-s16", "vit-s16-bf16"]);
    }

    #[test]
    fn both_sides_know_every_loss() {
        let root = crate::tree::root().unwrap();
        for file in ["benches/peers/losses.py", "crates/recipe/src/registry.rs"] {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            let missing: Vec<_> = LOSSES.iter().filter(|name| !text.contains(&format!("\"{name}\""))).collect();
            assert!(missing.is_empty(), "{file}: {missing:?}");
        }
    }
}
