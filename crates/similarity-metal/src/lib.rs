//! Metal kernels of the pairwise similarity matrix: device code only, as text that Metal compiles when it is first used.
#![forbid(unsafe_code)]

/// The kernels in the Metal Shading Language (3.1 for bf16); what each takes is said above it.
pub const SOURCE: &str = include_str!("../kernels/similarity.metal");

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use super::SOURCE;

    /// Every kernel is given its buffers from 0 on without a gap, then its parameters, as the host binds them.
    #[test]
    fn buffers_are_numbered_in_order() {
        let mut kernels = 0;
        let text = SOURCE.replace("HERE(", "[[buffer(");
        for kernel in text.split("kernel void ").skip(1) {
            let head = &kernel[..kernel.find('{').unwrap_or(kernel.len())];
            let numbers: Vec<usize> =
                head.split("[[buffer(").skip(1).filter_map(|n| n[..n.find(')')?].parse().ok()).collect();
            assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>(), "{head}");
            assert!(numbers.len() >= 2, "{head}");
            kernels += 1;
        }
        assert_eq!(kernels, 15);
    }
}
