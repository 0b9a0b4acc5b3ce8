//! The networks that both sides build.

/// A network, as both sides are told to build it.
#[derive(Debug)]
pub struct Case {
    pub name: &'static str,
    /// The backbone in npair's `config.json`.
    pub backbone: &'static str,
    /// Its name in benches/peers/architectures.py.
    pub peer: &'static str,
    pub batch: u32,
    pub channels: u32,
    pub size: u32,
    pub embedding: u32,
    pub dropout: f64,
}

static CASES: [Case; 4] = [
    Case {
        name: "conv-net",
        backbone: r#"{"architecture":"conv-net"}"#,
        peer: "conv-net",
        batch: 120,
        channels: 1,
        size: 28,
        embedding: 64,
        dropout: 0.,
    },
    Case {
        name: "casia-net",
        backbone: r#"{"architecture":"casia-net"}"#,
        peer: "casia-net",
        batch: 32,
        channels: 1,
        size: 100,
        embedding: 320,
        dropout: 0.4,
    },
    Case {
        name: "google-net",
        backbone: r#"{"architecture":"googlenet"}"#,
        peer: "googlenet",
        batch: 16,
        channels: 3,
        size: 224,
        embedding: 512,
        dropout: 0.2,
    },
    Case {
        name: "res-net-50",
        backbone: r#"{"architecture":"resnet50"}"#,
        peer: "resnet50",
        batch: 8,
        channels: 3,
        size: 224,
        embedding: 512,
        dropout: 0.,
    },
];

impl Case {
    /// Those whose name contains `only`.
    pub fn pick(only: Option<&str>) -> Vec<&'static Self> {
        CASES.iter().filter(|case| only.is_none_or(|name| case.name.contains(name))).collect()
    }

    pub fn names() -> String {
        CASES.each_ref().map(|case| case.name).join(", ")
    }

    /// What both sides are told alike.
    pub fn arguments(&self, threads: u32) -> Vec<String> {
        let numbers = [
            ("--batch", self.batch.to_string()),
            ("--channels", self.channels.to_string()),
            ("--size", self.size.to_string()),
            ("--embedding", self.embedding.to_string()),
            ("--dropout", self.dropout.to_string()),
            ("--threads", threads.to_string()),
        ];
        numbers.into_iter().flat_map(|(key, value)| [key.to_owned(), value]).collect()
    }

    /// As tables name it.
    pub fn title(&self) -> String {
        format!("{}, {} x {} x {size} x {size}", self.name, self.batch, self.channels, size = self.size)
    }
}
