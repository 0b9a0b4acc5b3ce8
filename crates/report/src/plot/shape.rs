/// How many shapes there are.
pub const SHAPES: usize = 6;

/// Corners of the shapes behind the circle, for a radius of 1; each about as large as the others.
const CORNERS: [&[(f64, f64)]; SHAPES - 1] = [
    &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
    &[(0., -1.2), (1.1, 0.8), (-1.1, 0.8)],
    &[(0., -1.3), (1.3, 0.), (0., 1.3), (-1.3, 0.)],
    &[(0., 1.2), (1.1, -0.8), (-1.1, -0.8)],
    &[
        (-0.4, -1.2),
        (0.4, -1.2),
        (0.4, -0.4),
        (1.2, -0.4),
        (1.2, 0.4),
        (0.4, 0.4),
        (0.4, 1.2),
        (-0.4, 1.2),
        (-0.4, 0.4),
        (-1.2, 0.4),
        (-1.2, -0.4),
        (-0.4, -0.4),
    ],
];

/// The path of a shape around a point: circle, square, triangle, diamond, triangle on its tip, plus, and from the first again.
pub fn shape(which: usize, x: f64, y: f64, r: f64) -> String {
    let Some(corners) = (which % SHAPES).checked_sub(1).and_then(|at| CORNERS.get(at)) else {
        return format!("M{:.1} {y:.1}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0z", x - r, d = 2. * r);
    };
    let mut path = String::new();
    for (at, (dx, dy)) in corners.iter().enumerate() {
        let letter = if at == 0 { 'M' } else { 'L' };
        path.push_str(&format!("{letter}{:.1} {:.1}", x + dx * r, y + dy * r));
    }
    path + "z"
}
