//! What the server counts, as text for Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Upper ends of the histogram's buckets, in seconds.
const ENDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1., 5., 30.];

#[derive(Default)]
pub(crate) struct Counts {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By route and status; both are of short lists, so that clients cannot make this grow.
    requests: BTreeMap<(String, u16), u64>,
    latency: BTreeMap<String, Histogram>,
    rejected: BTreeMap<&'static str, u64>,
}

#[derive(Default)]
struct Histogram {
    buckets: [u64; ENDS.len()],
    count: u64,
    seconds: f64,
}

impl Counts {
    pub(crate) fn answered(&self, route: &str, status: u16, took: Duration) {
        let mut inner = self.inner();
        *inner.requests.entry((route.to_owned(), status)).or_default() += 1;
        let histogram = inner.latency.entry(route.to_owned()).or_default();
        let seconds = took.as_secs_f64();
        histogram.count += 1;
        histogram.seconds += seconds;
        if let Some(at) = ENDS.iter().position(|end| seconds <= *end) {
            histogram.buckets[at] += 1;
        }
    }

    /// Counts what was sent away: `rate`, `busy` or `connections`.
    pub(crate) fn rejected(&self, why: &'static str) {
        *self.inner().rejected.entry(why).or_default() += 1;
    }

    /// All counts, and these gauges.
    pub(crate) fn text(&self, gauges: &[(&str, &str, usize)]) -> String {
        let inner = self.inner();
        let mut out = String::new();
        head(&mut out, "npair_requests_total", "counter", "Requests answered, by route and status.");
        for ((route, status), count) in &inner.requests {
            let _ = writeln!(out, "npair_requests_total{{route=\"{route}\",status=\"{status}\"}} {count}");
        }
        head(&mut out, "npair_request_seconds", "histogram", "Time from a request's headers to its answer.");
        for (route, histogram) in &inner.latency {
            histogram.text(&mut out, route);
        }
        head(&mut out, "npair_rejected_total", "counter", "Requests and connections sent away unanswered, by reason.");
        for why in ["rate", "busy", "connections"] {
            let count = inner.rejected.get(why).copied().unwrap_or(0);
            let _ = writeln!(out, "npair_rejected_total{{reason=\"{why}\"}} {count}");
        }
        for (name, help, value) in gauges {
            head(&mut out, name, "gauge", help);
            let _ = writeln!(out, "{name} {value}");
        }
        out
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Histogram {
    fn text(&self, out: &mut String, route: &str) {
        let mut sum = 0;
        for (end, count) in ENDS.iter().zip(self.buckets) {
            sum += count;
            let _ = writeln!(out, "npair_request_seconds_bucket{{route=\"{route}\",le=\"{end}\"}} {sum}");
        }
        let _ = writeln!(out, "npair_request_seconds_bucket{{route=\"{route}\",le=\"+Inf\"}} {}", self.count);
        let _ = writeln!(out, "npair_request_seconds_sum{{route=\"{route}\"}} {}", self.seconds);
        let _ = writeln!(out, "npair_request_seconds_count{{route=\"{route}\"}} {}", self.count);
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
