//! Sine and cosine from additions and multiplications alone: libm's differ between platforms in the last bit, and a
//! picture turned by them would too.

/// `(sin, cos)` of an angle in degrees, to within 1e-9 for angles up to a few full turns.
pub(crate) fn sin_cos_degrees(degrees: f32) -> (f32, f32) {
    let turns = f64::from(degrees) / 360.0;
    let angle = (turns - turns.round()) * (std::f64::consts::TAU / 16.0);
    // |angle| <= pi/16: the first terms left out are below 1e-14.
    let x = angle * angle;
    let mut sin = angle * (1.0 - x / 6.0 * (1.0 - x / 20.0 * (1.0 - x / 42.0 * (1.0 - x / 72.0))));
    let mut cos = 1.0 - x / 2.0 * (1.0 - x / 12.0 * (1.0 - x / 30.0 * (1.0 - x / 56.0)));
    for _ in 0..4 {
        (sin, cos) = (2.0 * sin * cos, cos * cos - sin * sin);
    }
    (sin as f32, cos as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_library() {
        for i in -800..800 {
            let degrees = i as f32 * 0.7;
            let (sin, cos) = sin_cos_degrees(degrees);
            let (want_sin, want_cos) = f64::from(degrees).to_radians().sin_cos();
            // Half a unit in the last place of f32 is 6e-8.
            assert!((f64::from(sin) - want_sin).abs() < 1e-7 && (f64::from(cos) - want_cos).abs() < 1e-7, "{degrees}");
        }
        assert_eq!(sin_cos_degrees(0.0), (0.0, 1.0));
    }
}
