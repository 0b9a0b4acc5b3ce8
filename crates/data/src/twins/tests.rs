use super::*;
use crate::Picture;
use crate::transform::scaled;
use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder};
use rand::{Rng, SeedableRng};

/// A made-up photograph: soft blobs of colour on a slope.
fn photograph(seed: u64, side: u32) -> Picture {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |low: f32, high: f32| low + (high - low) * rng.random::<f32>();
    let slope: [f32; 5] = std::array::from_fn(|_| draw(-40., 40.));
    let blobs: Vec<[f32; 6]> = (0..14)
        .map(|_| [draw(0., 1.), draw(0., 1.), draw(0.05, 0.2), draw(-70., 70.), draw(-70., 70.), draw(-70., 70.)])
        .collect();
    let pixel = |x: f32, y: f32, c: usize| {
        let blob = |b: &[f32; 6]| b[3 + c] * (-((x - b[0]).powi(2) + (y - b[1]).powi(2)) / (2. * b[2] * b[2])).exp();
        (125. + slope[0] * x + slope[1] * y + slope[2 + c] + blobs.iter().map(blob).sum::<f32>()).clamp(0., 255.) as u8
    };
    let at = |i: u32| (i as f32 + 0.5) / side as f32;
    let pixels = (0..side * side * 3).map(|i| pixel(at(i / 3 % side), at(i / 3 / side), (i % 3) as usize));
    Picture::new(side, side, 3, pixels.collect::<Vec<u8>>()).unwrap()
}

fn cut(picture: &Picture, [left, top, right, bottom]: [u32; 4]) -> Picture {
    let (width, height) = (picture.width() - left - right, picture.height() - top - bottom);
    let pixel = |i: u32| picture.pixel(left + i % width, top + i / width).to_vec();
    Picture::new(width, height, 3, (0..width * height).flat_map(pixel).collect::<Vec<u8>>()).unwrap()
}

fn each(picture: &Picture, f: impl Fn(usize, u8) -> f32) -> Picture {
    let pixels = picture.pixels().iter().enumerate().map(|(i, &v)| f(i, v).clamp(0., 255.) as u8);
    Picture::new(picture.width(), picture.height(), 3, pixels.collect::<Vec<u8>>()).unwrap()
}

fn encoded(picture: &Picture, quality: u8) -> Picture {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .write_image(picture.pixels(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .unwrap();
    Picture::decode(&bytes, "made up").unwrap()
}

fn mirrored(picture: &Picture) -> Picture {
    let (width, height) = (picture.width(), picture.height());
    let pixel = |i: u32| picture.pixel(width - 1 - i % width, i / width).to_vec();
    Picture::new(width, height, 3, (0..width * height).flat_map(pixel).collect::<Vec<u8>>()).unwrap()
}

fn found(pictures: &[Picture]) -> Vec<Twins> {
    let looks: Vec<_> = pictures.iter().enumerate().map(|(i, p)| (ExampleId(i), Look::of(p).unwrap())).collect();
    twins(&looks)
}

/// What is done to a picture, under a name, and what twins are to be found then.
type Change = (&'static str, Box<dyn Fn(&Picture) -> Picture>, Likeness);

fn changes() -> Vec<Change> {
    let same = Likeness::SameLook;
    let turned = |mirrored: usize, quarters: usize| Likeness::Turned(Orientation::ALL[4 * mirrored + quarters]);
    vec![
        ("the same", Box::new(Picture::clone), Likeness::SamePixels),
        ("encoded", Box::new(|p| encoded(p, 50)), same),
        ("encoded twice", Box::new(|p| encoded(&encoded(p, 70), 40)), same),
        ("halved", Box::new(|p| scaled(p, 48, 48).unwrap()), same),
        ("enlarged", Box::new(|p| scaled(p, 151, 139).unwrap()), same),
        ("noisy", Box::new(|p| each(p, |i, v| f32::from(v) + (i * 7919 % 13) as f32 - 6.)), same),
        ("brighter", Box::new(|p| each(p, |_, v| f32::from(v) * 1.05 + 4.)), same),
        ("darker", Box::new(|p| each(p, |_, v| f32::from(v) * 0.88 - 4.)), same),
        ("gamma", Box::new(|p| each(p, |_, v| 255. * (f32::from(v) / 255.).powf(0.95))), same),
        ("cut all around", Box::new(|p| cut(p, [3, 3, 3, 3])), same),
        ("cut on two sides", Box::new(|p| cut(p, [5, 0, 0, 4])), same),
        ("cut, small, encoded", Box::new(|p| encoded(&scaled(&cut(p, [2, 3, 1, 2]), 60, 60).unwrap(), 60)), same),
        ("mirrored", Box::new(mirrored), turned(1, 0)),
        ("turned left", Box::new(|p| p.rotated(1)), turned(0, 1)),
        ("upside down", Box::new(|p| encoded(&p.rotated(2), 70)), turned(0, 2)),
        ("turned right", Box::new(|p| p.rotated(3)), turned(0, 3)),
        ("mirrored and turned", Box::new(|p| mirrored(p).rotated(1)), turned(1, 1)),
    ]
}

#[test]
fn what_was_made_of_a_picture_is_found_and_nothing_else() {
    const PICTURES: usize = 40;
    let originals: Vec<Picture> = (0..PICTURES as u64).map(|seed| photograph(seed, 96)).collect();
    assert_eq!(found(&originals), []);
    for (what, change, likeness) in changes() {
        let copies = originals.iter().map(change);
        let all: Vec<Picture> = originals.iter().cloned().chain(copies).collect();
        let want: Vec<Twins> =
            (0..PICTURES).map(|i| Twins { one: ExampleId(i), other: ExampleId(PICTURES + i), likeness }).collect();
        assert_eq!(found(&all), want, "{what}");
    }
}

#[test]
fn one_small_thing_makes_two_pictures_and_so_does_another_colour() {
    let ground = photograph(7, 96);
    // A mark of a twelfth of a side, at two places of one picture.
    let marked = |left: u32, top: u32| {
        let inside = |i: usize| {
            let (x, y) = ((i / 3) as u32 % 96, (i / 3) as u32 / 96);
            (left..left + 8).contains(&x) && (top..top + 8).contains(&y)
        };
        each(&ground, |i, v| if inside(i) { 255. * (i % 2) as f32 } else { f32::from(v) })
    };
    assert_eq!(found(&[marked(20, 30), marked(60, 52)]), []);
    // Red and blue change places: the grey is the same to the bit.
    let swapped = ground.pixels().chunks_exact(3).flat_map(|p| [p[2], p[1], p[0]]).collect::<Vec<u8>>();
    assert_eq!(found(&[ground.clone(), Picture::new(96, 96, 3, swapped).unwrap()]), []);
}

#[test]
fn blank_pictures_are_no_twins_and_small_ones_may_be() {
    let blank = |v: u8| Picture::new(48, 48, 1, vec![v; 48 * 48]).unwrap();
    assert_eq!(found(&[blank(250), blank(251), blank(252)]), []);
    let same = found(&[blank(250), blank(250)]);
    assert_eq!(same, [Twins { one: ExampleId(0), other: ExampleId(1), likeness: Likeness::SamePixels }]);
    let dot = |v: u8| Picture::new(2, 1, 1, vec![v, 255 - v]).unwrap();
    assert_eq!(found(&[dot(9), dot(12), dot(240)]).len(), 3, "the last is the others, mirrored");
    let one = Picture::new(1, 1, 3, vec![1, 2, 3]).unwrap();
    assert_eq!(found(&[one]), []);
}

#[test]
fn threads_and_order_change_nothing() {
    let mut pictures: Vec<Picture> = (0..30).map(|seed| photograph(seed, 40)).collect();
    pictures.extend((0..30).map(|seed| mirrored(&encoded(&photograph(seed, 40), 80))));
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let all = found(&pictures);
    assert_eq!(all, alone.install(|| found(&pictures)));
    pictures.reverse();
    let turned: Vec<_> = found(&pictures).iter().map(|t| (59 - t.other.0, 59 - t.one.0, t.likeness)).collect();
    let mut want: Vec<_> = all.iter().map(|t| (t.one.0, t.other.0, t.likeness)).collect();
    want.sort_by_key(|t| std::cmp::Reverse(t.1));
    assert_eq!(turned, want);
}

#[test]
fn orientations_are_a_group_and_pictures_turn_as_looks_do() {
    let picture = photograph(3, 32);
    for orientation in Orientation::ALL {
        let look = Look::of(&picture).unwrap();
        let back = look.oriented(orientation).oriented(orientation.inverse());
        assert!(back.grey() == look.grey() && back.colours() == look.colours(), "{orientation}");
        let base = if orientation.is_mirrored() { mirrored(&picture) } else { picture.clone() };
        let turned = Look::of(&base.rotated(u32::from(orientation.quarters()))).unwrap();
        assert_eq!(turned.grey(), look.oriented(orientation).grey(), "{orientation}");
    }
}
