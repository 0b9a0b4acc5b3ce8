//! Networks against reference values found in f64. `cargo xtask golden --check DIR` runs this on any folder of the same
//! form.

mod reference;

use reference::Errors;

/// Features are stored in f32 (6e-8 of the largest), norms with nine digits; timm interpolates position embeddings in
/// f32.
#[test]
fn networks_agree_in_f64() {
    reference::compare("networks", Errors { eval: 5e-7, train: 5e-7, gradient: 1e-7, each: 1e-6 }, false);
}
