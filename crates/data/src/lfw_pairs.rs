use crate::official::MAX_LIST;
use crate::{Error, Result, read_regular};
use std::path::Path;

/// The verification list of Labeled Faces in the Wild: pairs of images in folds, each with whether both show one person.
///
/// ```
/// # use npair_data::LfwPairs;
/// let list = LfwPairs::parse("pairs.txt", "1\t1\nAda\t1\t12\nAda\t2\tBo\t3\n")?;
/// let (same, other) = (&list.pairs()[0], &list.pairs()[1]);
/// assert_eq!((same.same, same.images[1].path().as_str()), (true, "Ada/Ada_0012.jpg"));
/// assert_eq!((other.same, other.images[1].path().as_str(), other.fold), (false, "Bo/Bo_0003.jpg", 0));
/// # Ok::<(), npair_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LfwPairs {
    pairs: Vec<LfwPair>,
    folds: usize,
}

/// Two images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LfwPair {
    /// Both.
    pub images: [LfwImage; 2],
    /// Whether both show one person.
    pub same: bool,
    /// The number of its fold, from 0 on.
    pub fold: usize,
}

/// An image, as the list names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LfwImage {
    /// The person, as the folder is called.
    pub person: String,
    /// The person's image, from 1 on.
    pub number: u32,
}

impl LfwImage {
    /// Where it lies in the data set's folder: `Person/Person_0001.jpg` (crops may have another picture's ending).
    pub fn path(&self) -> String {
        format!("{0}/{0}_{1:04}.jpg", self.person, self.number)
    }
}

impl LfwPairs {
    /// Reads the official `pairs.txt`.
    ///
    /// # Errors
    /// [`Error::Read`] if there is no such file, [`Error::Dataset`] with the first line that is not as it should be.
    pub fn read(file: &Path) -> Result<Self> {
        let name = file.display().to_string();
        let cure = "fetch pairs.txt from the home of LFW, or name the right file";
        let fault = |why: String| Error::Read { file: name.clone(), why, cure };
        let bytes = read_regular(file, MAX_LIST).map_err(|e| match e {
            Error::Read { why, .. } | Error::TooLarge { why, .. } => fault(why),
            other => other,
        })?;
        let text = String::from_utf8(bytes).map_err(|_| fault("it is no UTF-8 text".to_owned()))?;
        Self::parse(&name, &text)
    }

    /// From the text of such a list; `name` stands in errors.
    ///
    /// The first line has the number of folds and of pairs of one kind in each. Then every fold has its pairs of one person
    /// (`name first second`), and as many of two (`name first name second`), separated by tabs, or by spaces as in some copies. A
    /// byte order mark before all is passed over.
    ///
    /// # Errors
    /// [`Error::Dataset`] with the first line that is not as it should be.
    ///
    /// # Source
    /// Huang et al., Labeled Faces in the Wild, 2007; the README of the data set.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let wrong = |line: usize, why: String| Error::Dataset {
            place: format!("{name}, line {line},"),
            why,
            cure: "fetch the list again".to_owned(),
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim_end()));
        let head = lines.next().map_or("", |l| l.1);
        let sizes: Vec<usize> = head.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let [folds, each] = sizes[..] else {
            return Err(wrong(
                1,
                format!("is `{head}`, but should be the number of folds and of pairs of one kind in each"),
            ));
        };
        let total = folds.checked_mul(each).and_then(|n| n.checked_mul(2)).filter(|&n| n > 0 && n < text.len());
        let Some(total) = total else {
            return Err(wrong(
                1,
                format!("promises {folds} folds of {each} and {each} pairs, which the file cannot hold"),
            ));
        };
        let mut pairs = Vec::with_capacity(total);
        for (number, line) in lines.by_ref().filter(|l| !l.1.is_empty()).take(total) {
            let fields: Vec<&str> = match line.contains('\t') {
                true => line.split('\t').collect(),
                false => line.split(' ').collect(),
            };
            let same = pairs.len() / each % 2 == 0;
            let fold = pairs.len() / (2 * each);
            let image = |person: &str, number: &str| {
                let number = number.parse().ok().filter(|&n: &u32| n > 0)?;
                // A name becomes a path.
                let plain = !person.is_empty() && !person.contains(['/', '\\']) && !person.starts_with('.');
                plain.then(|| LfwImage { person: person.to_owned(), number })
            };
            let images = match (same, &fields[..]) {
                (true, &[person, first, second]) => image(person, first).zip(image(person, second)),
                (false, &[one, first, two, second]) => image(one, first).zip(image(two, second)),
                _ => None,
            };
            let Some((first, second)) = images else {
                let form = if same { "name, number, number" } else { "name, number, name, number" };
                return Err(wrong(number, format!("is `{line}`, but should be {form}, separated by tabs")));
            };
            if !same && first.person == second.person {
                return Err(wrong(number, format!("names {} twice in a pair of two persons", first.person)));
            }
            pairs.push(LfwPair { images: [first, second], same, fold });
        }
        if pairs.len() < total {
            return Err(wrong(
                text.lines().count(),
                format!("is the last one: {total} pairs were promised, {} are there", pairs.len()),
            ));
        }
        if let Some((number, line)) = lines.find(|l| !l.1.is_empty()) {
            return Err(wrong(number, format!("is `{line}`, but all {total} pairs that were promised are above it")));
        }
        Ok(Self { pairs, folds })
    }

    /// The pairs, fold by fold.
    pub fn pairs(&self) -> &[LfwPair] {
        &self.pairs
    }

    /// Number of folds.
    pub fn folds(&self) -> usize {
        self.folds
    }

    /// Every image that some pair needs, once each, in the order of names and numbers.
    pub fn images(&self) -> Vec<&LfwImage> {
        let mut all: Vec<&LfwImage> = self.pairs.iter().flat_map(|pair| &pair.images).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}
