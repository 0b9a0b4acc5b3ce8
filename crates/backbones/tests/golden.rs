//! Networks against torchvision's. `cargo xtask golden --check DIR` runs this on any folder of the same form.

mod reference;

use reference::Errors;

/// The reference was found in f32 (2^-24 = 6e-8): evaluation is some hundred roundings deep. A sign that changes in the
/// last maps moves a norm by a few thousandths, whether or not one changes in our own f32.
#[test]
fn networks_agree_with_torchvision() {
    reference::compare("backbones", Errors { eval: 1e-5, train: 1e-5, gradient: 1e-3, each: 5e-3 }, true);
}
