use super::hand::Inked;

/// Draws inked lines on paper that reaches from -1 to 1: a byte per pixel, 255 paper, 0 ink. The ink of a pixel is how
/// far its centre lies inside the pen's trace, cut to one pixel's width: an edge falls off linearly over one pixel.
pub(crate) fn render(lines: &[Vec<Inked>], size: u32) -> Vec<u8> {
    let mut ink = vec![0f32; size as usize * size as usize];
    let half = size as f32 * 0.5;
    // Pixel centres are at whole numbers.
    let pixel = |p: &Inked| [(p[0] + 1.0) * half - 0.5, (p[1] + 1.0) * half - 0.5, p[2] * half];
    for line in lines {
        for pair in line.windows(2) {
            segment(&mut ink, size as usize, pixel(&pair[0]), pixel(&pair[1]));
        }
    }
    ink.iter().map(|&v| (255.5 - 255.0 * v) as u8).collect()
}

fn segment(ink: &mut [f32], size: usize, a: Inked, b: Inked) {
    let reach = a[2].max(b[2]) + 0.5;
    let span = |i: usize| {
        let low = (a[i].min(b[i]) - reach).max(0.0).min(size as f32) as usize;
        let high = (a[i].max(b[i]) + reach + 1.0).max(0.0).min(size as f32) as usize;
        low..high
    };
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let inverse = 1.0 / (dx * dx + dy * dy).max(1e-12);
    for y in span(1) {
        let py = y as f32 - a[1];
        let row = &mut ink[y * size..(y + 1) * size];
        for x in span(0) {
            let px = x as f32 - a[0];
            let along = ((px * dx + py * dy) * inverse).clamp(0.0, 1.0);
            let (qx, qy) = (px - along * dx, py - along * dy);
            let radius = a[2] + (b[2] - a[2]) * along;
            let value = (radius + 0.5 - (qx * qx + qy * qy).sqrt()).clamp(0.0, 1.0);
            row[x] = row[x].max(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_width_and_a_soft_edge() {
        // Along the middle of 20 pixels, radius 0.2 of half the paper = 2 pixels: rows 8 to 11 are ink.
        let picture = render(&[vec![[-2.0, 0.0, 0.2], [2.0, 0.0, 0.2]]], 20);
        let column: Vec<u8> = (6..14).map(|y| picture[y * 20 + 10]).collect();
        assert_eq!(column, [255, 255, 0, 0, 0, 0, 255, 255]);
        // Half a pixel lower, both edges are grey.
        let picture = render(&[vec![[-2.0, 0.05, 0.2], [2.0, 0.05, 0.2]]], 20);
        assert!((126..=129).contains(&picture[8 * 20 + 10]) && (126..=129).contains(&picture[12 * 20 + 10]));
    }

    #[test]
    fn lines_off_the_paper_are_cut() {
        let outside = vec![vec![[5.0, 5.0, 0.1], [9.0, 5.0, 0.1]], vec![[-9.0, -5.0, 0.1], [-5.0, -5.0, 0.1]]];
        assert!(render(&outside, 16).iter().all(|&v| v == 255));
    }
}
