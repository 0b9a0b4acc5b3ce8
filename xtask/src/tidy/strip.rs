/// Rust source without its comments and the insides of its strings and characters; line breaks stay, so that lines keep their
/// numbers.
pub fn strip(text: &str) -> String {
    let c: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < c.len() {
        let end = match c[i] {
            '/' if c.get(i + 1) == Some(&'/') => line_end(&c, i),
            '/' if c.get(i + 1) == Some(&'*') => comment_end(&c, i),
            '"' => string_end(&c, i),
            '\'' => char_end(&c, i),
            'r' | 'b' | 'c' if i == 0 || !is_word(c[i - 1]) => prefixed_end(&c, i),
            _ => i,
        };
        if end == i {
            out.push(c[i]);
            i += 1;
        } else {
            out.extend(c[i..end].iter().map(|&x| if x == '\n' { '\n' } else { ' ' }));
            i = end;
        }
    }
    out
}

pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_end(c: &[char], from: usize) -> usize {
    (from..c.len()).find(|&i| c[i] == '\n').unwrap_or(c.len())
}

fn comment_end(c: &[char], from: usize) -> usize {
    let (mut depth, mut i) = (0usize, from);
    while i + 1 < c.len() {
        match (c[i], c[i + 1]) {
            ('/', '*') => (depth, i) = (depth + 1, i + 2),
            ('*', '/') => (depth, i) = (depth.saturating_sub(1), i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    c.len()
}

/// The place after a string whose opening quote is at `from`.
fn string_end(c: &[char], from: usize) -> usize {
    let mut i = from + 1;
    while i < c.len() {
        match c[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    c.len()
}

/// The place after a character; a lifetime is none.
fn char_end(c: &[char], from: usize) -> usize {
    match (c.get(from + 1), c.get(from + 2)) {
        (Some('\\'), _) => (from + 3..c.len()).find(|&i| c[i] == '\'').map_or(c.len(), |i| i + 1),
        (Some(_), Some('\'')) => from + 3,
        _ => from,
    }
}

/// The place after `r".."`, `r#".."#`, `b".."`, `c".."`, `br#".."#`, `b'x'`; `from` if it is none of these.
fn prefixed_end(c: &[char], from: usize) -> usize {
    let mut i = from;
    if matches!(c[i], 'b' | 'c') {
        i += 1;
        match c.get(i) {
            Some('"') => return string_end(c, i),
            Some('\'') if c[from] == 'b' => return char_end(c, i),
            _ => {}
        }
    }
    if c.get(i) != Some(&'r') {
        return from;
    }
    let hashes = c[i + 1..].iter().take_while(|&&x| x == '#').count();
    let open = i + 1 + hashes;
    if c.get(open) != Some(&'"') {
        return from; // a raw identifier or a word that begins with r
    }
    let closes = |&at: &usize| c[at] == '"' && (1..=hashes).all(|h| c.get(at + h) == Some(&'#'));
    (open + 1..c.len()).find(closes).map_or(c.len(), |at| at + 1 + hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_go_and_lines_stay() {
        let text = "a // unsafe\nb /* x /* y */ unsafe */ c \"un\\\"safe\" d\nr#\"un\"safe\"# e b\"f\" 'g' '\\'' h";
        let bare = strip(text);
        assert_eq!(bare.lines().count(), 3);
        assert_eq!(bare.split_whitespace().collect::<Vec<_>>(), ["a", "b", "c", "d", "e", "h"]);
    }

    #[test]
    fn lifetimes_and_raw_identifiers_are_code() {
        let text = "fn f<'a>(x: &'a str, r#type: u8) -> &'static str { for_ray }";
        assert_eq!(strip(text), text);
    }

    #[test]
    fn what_is_not_closed_ends_with_the_file() {
        for text in ["\"open", "/* open", "r##\"open\"#", "'\\", "b'", "r"] {
            assert!(strip(text).len() >= text.len());
        }
    }
}
