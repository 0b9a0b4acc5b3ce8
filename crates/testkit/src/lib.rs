//! Unpublished: gradient checks, gradient reachability, golden files and strategies for npair's tests.
