//! How much one client address may ask for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Addresses that are remembered: about 1 MiB.
const MOST: usize = 16_384;
/// Tenths of a request.
const WHOLE: f64 = 10.;

/// A bucket for each address, that fills with time.
pub(crate) struct Rate {
    per_second: f64,
    burst: f64,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

struct Bucket {
    left: f64,
    at: Instant,
}

impl Rate {
    /// Requests a second, and at once; 0 a second is no limit.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second: f64::from(per_second) * WHOLE, burst: f64::from(burst) * WHOLE, buckets: Mutex::default() }
    }

    /// Whether an address may make a request now that counts so many tenths.
    pub(crate) fn allows(&self, address: IpAddr, tenths: u32, now: Instant) -> bool {
        if self.per_second == 0. {
            return true;
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = network(address);
        if buckets.len() >= MOST && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| self.filled(bucket, now) < self.burst);
            // As many spenders at once are no people: all begin anew, and memory stays bounded.
            if buckets.len() >= MOST {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { left: self.burst, at: now });
        *bucket = Bucket { left: self.filled(bucket, now), at: now };
        let cost = f64::from(tenths);
        let allowed = bucket.left >= cost;
        if allowed {
            bucket.left -= cost;
        }
        allowed
    }

    fn filled(&self, bucket: &Bucket, now: Instant) -> f64 {
        let since = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.left + since * self.per_second).min(self.burst)
    }
}

/// Who is meant by an address: of IPv6 a client has a whole network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(std::net::Ipv6Addr::from(u128::from(v6) >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_bucket_empties_and_fills() {
        let (rate, now) = (Rate::new(20, 40), Instant::now());
        let address = IpAddr::from([10, 0, 0, 1]);
        assert_eq!((0..100).filter(|_| rate.allows(address, 10, now)).count(), 40);
        assert!(rate.allows(IpAddr::from([10, 0, 0, 2]), 10, now), "another address has its own");
        let later = now + Duration::from_millis(500);
        assert_eq!((0..100).filter(|_| rate.allows(address, 10, later)).count(), 10);
        assert_eq!((0..1000).filter(|_| rate.allows(address, 1, later + Duration::from_secs(9))).count(), 400);
        assert!((0..1000).all(|_| Rate::new(0, 0).allows(address, 10, now)));
    }

    #[test]
    fn ever_new_addresses_take_no_more_memory() {
        let (rate, now) = (Rate::new(1, 2), Instant::now());
        for n in 0..50_000u32 {
            rate.allows(IpAddr::from(n.to_be_bytes()), 10, now);
        }
        assert!(rate.buckets.lock().unwrap().len() <= MOST);
        let six = |low: u128| IpAddr::from((0x2001_0db8_u128 << 96 | low).to_be_bytes());
        assert_eq!((0..9).filter(|n| rate.allows(six(*n), 10, now)).count(), 2, "one network of IPv6 is one client");
    }
}
