//! The parts of a body of the type `multipart/form-data` (RFC 7578), which is small and in memory.

/// Most parts of a body, and most bytes of the headers of one.
const PARTS: usize = 16;
const HEADERS: usize = 4096;

/// The boundary that a content type names.
pub(crate) fn boundary(content_type: &str) -> Option<&str> {
    let mut fields = content_type.split(';');
    if !fields.next()?.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = fields.find_map(|field| {
        let (name, value) = field.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    (1..=70).contains(&value.len()).then_some(value)
}

/// The contents of all parts, in their order; or what is wrong with the body.
pub(crate) fn parts<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<&'a [u8]>, &'static str> {
    let first = format!("--{boundary}");
    let between = format!("\r\n--{boundary}");
    let mut rest = match find(body, between.as_bytes()) {
        _ if body.starts_with(first.as_bytes()) => &body[first.len()..],
        // What stands before the first boundary means nothing.
        Some(at) => &body[at + between.len()..],
        None => return Err("the body does not have the boundary that its content type names"),
    };
    let mut found = Vec::new();
    while !rest.starts_with(b"--") {
        let line = find(rest, b"\r\n").ok_or("a part has no end")?;
        if !rest[..line].iter().all(|c| matches!(c, b' ' | b'\t')) {
            return Err("there is something behind a boundary");
        }
        // With the break of the boundary's line, so that a part without headers has its empty line too.
        let head =
            find(&rest[line..rest.len().min(line + HEADERS)], b"\r\n\r\n").ok_or("a part's headers have no end")?;
        let content = &rest[line + head + 4..];
        let end = find(content, between.as_bytes()).ok_or("a part has no end")?;
        if found.len() == PARTS {
            return Err("the body has too many parts");
        }
        found.push(&content[..end]);
        rest = &content[end + between.len()..];
    }
    Ok(found)
}

/// Where `what` is found first.
fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    let start = *what.first()?;
    let mut from = 0;
    // Long runs without the first byte are skipped quickly; boundaries begin with a rare one.
    while let Some(at) = text.get(from..)?.iter().position(|c| *c == start) {
        if text[from + at..].starts_with(what) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_as_they_were_sent() {
        assert_eq!(boundary("multipart/form-data; charset=x; Boundary=\"a b\""), Some("a b"));
        assert_eq!(boundary("multipart/form-data"), None);
        assert_eq!(boundary("text/plain; boundary=x"), None);
        let body = b"before\r\n--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n\r\n--\r\n--x \r\n\r\n\0\r\n--x--\r\nafter";
        assert_eq!(parts(body, "x"), Ok(vec![&b"one\r\n\r\n--"[..], &b"\0"[..]]));
        assert_eq!(parts(b"--x--", "x"), Ok(vec![]));
    }

    #[test]
    fn every_cut_and_change_is_an_error_or_other_parts() {
        let body = b"--xy\r\nA: b\r\n\r\none\r\n--xy\r\n\r\ntwo\r\n--xy--";
        for end in 0..body.len() - 2 {
            assert!(parts(&body[..end], "xy").is_err(), "{end}");
        }
        for at in 0..body.len() {
            for to in [0, b'\r', b'\n', b'-', 0xff] {
                let mut bad = *body;
                bad[at] = to;
                let _ = parts(&bad, "xy");
            }
        }
        let many = "--x\r\n\r\n\r\n".repeat(PARTS + 1) + "--x--";
        assert!(parts(many.as_bytes(), "x").is_err());
        let long = format!("--x\r\n{}\r\n\r\n1\r\n--x--", "a".repeat(HEADERS));
        assert!(parts(long.as_bytes(), "x").is_err());
    }
}
