/// A text as it stands between tags and inside quoted attributes. Signs that HTML does not know become the replacement character.
pub fn esc(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' => out.push(' '),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::esc;

    #[test]
    fn texts_are_texts() {
        assert_eq!(
            esc("<script>alert('1') & \"2\"</script>"),
            "&lt;script&gt;alert(&#39;1&#39;) &amp; &quot;2&quot;&lt;/script&gt;"
        );
        assert_eq!(esc("a\0b\u{1b}c\nd\u{85}"), "a\u{fffd}b\u{fffd}c d\u{fffd}");
        assert_eq!(esc("Zaunkönig 鷦鷯"), "Zaunkönig 鷦鷯");
    }
}
