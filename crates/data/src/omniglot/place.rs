use super::Part;

/// What a path of the official layout says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) part: Part,
    pub(crate) alphabet: String,
    pub(crate) character: String,
    pub(crate) number: u32,
    pub(crate) drawer: u32,
}

impl Place {
    /// Reads `.../PART/ALPHABET/characterNN/IIII_SS.png`. Where no folder of the path names the part, it is that of the
    /// archive's own name, `fallback`. None for anything else.
    pub(crate) fn parse(path: &str, fallback: Option<Part>) -> Option<Self> {
        let mut folders = path.split('/').rev();
        let file = folders.next()?;
        let character = folders.next()?;
        let alphabet = folders.next()?;
        let part = folders.find_map(Part::of_folder).or(fallback)?;
        let digits = character.strip_prefix("character")?;
        if digits.is_empty() || !is_number(digits) || alphabet.is_empty() || Part::of_folder(alphabet).is_some() {
            return None;
        }
        let (number, drawer) = file.strip_suffix(".png")?.split_once('_')?;
        if !is_number(number) || !is_number(drawer) {
            return None;
        }
        let (number, drawer) = (number.parse().ok()?, drawer.parse().ok()?);
        Some(Self { part, alphabet: alphabet.to_owned(), character: character.to_owned(), number, drawer })
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn official_paths_are_read_and_others_are_not() {
        let place = Place::parse("x/images_background_small1/N_Ko/character07/0123_20.png", None).unwrap();
        assert_eq!((place.part, place.number, place.drawer), (Part::Small1, 123, 20));
        assert_eq!((place.alphabet.as_str(), place.character.as_str()), ("N_Ko", "character07"));
        assert_eq!(Place::parse("Greek/character01/0394_01.png", None), None);
        assert!(Place::parse("Greek/character01/0394_01.png", Some(Part::Small2)).is_some());
        for wrong in ["0394_01.png", "character01/0394_01.png", "A/character/1_1.png", "A/b01/1_1.png"] {
            assert_eq!(Place::parse(wrong, Some(Part::Background)), None, "{wrong}");
        }
        for wrong in
            ["A/character01/1_1.jpg", "A/character01/x_1.png", "A/character01/1-1.png", "A/character01/+1_1.png"]
        {
            assert_eq!(Place::parse(wrong, Some(Part::Background)), None, "{wrong}");
        }
        assert_eq!(Place::parse("A/character01/99999999999_1.png", Some(Part::Background)), None);
    }
}
