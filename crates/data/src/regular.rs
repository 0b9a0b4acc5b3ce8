//! Which files are opened: regular ones, up to a size. A named pipe would be waited for without end, and a device has no end.

use crate::{Error, Result};
use std::fs::{File, FileType};
use std::io::Read;
use std::path::Path;

/// Reads a regular file of at most `limit` bytes. Links are followed.
///
/// # Errors
/// [`Error::Read`] if it cannot be read, or is a named pipe, a device, a socket or a folder: none of them is ever opened;
/// [`Error::TooLarge`] if it has more than `limit` bytes.
pub fn read_regular(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let name = path.display();
    let fault = |e: std::io::Error| Error::read(&name, &e);
    expect_regular(path, std::fs::metadata(path).map_err(fault)?.file_type())?;
    let file = File::open(path).map_err(fault)?;
    // What the name stood for may have been replaced in between.
    let metadata = file.metadata().map_err(fault)?;
    expect_regular(path, metadata.file_type())?;
    let too_large = || Error::TooLarge { file: name.to_string(), why: format!("the file has more than {limit} bytes") };
    if metadata.len() > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(limit + 1).read_to_end(&mut bytes).map_err(fault)?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}

fn expect_regular(path: &Path, kind: FileType) -> Result<()> {
    if kind.is_file() {
        return Ok(());
    }
    let (why, cure) = match kind.is_dir() {
        true => ("it is a folder".to_owned(), "give the path of a file"),
        false => (format!("it is {}, and only regular files are opened", odd(kind)), "remove it, or give a file"),
    };
    Err(Error::Read { file: path.display().to_string(), why, cure })
}

/// What something is that is neither file nor folder.
fn odd(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a named pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    let _ = kind;
    "no regular file"
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_never_opened() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("x.png");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let socket = dir.path().join("socket.png");
        let _held = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = dir.path().join("link.png");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        for (path, what) in [
            (pipe.as_path(), "a named pipe"),
            (&socket, "a socket"),
            (&link, "a named pipe"),
            (Path::new("/dev/zero"), "a device"),
            (dir.path(), "a folder"),
        ] {
            let said = read_regular(path, 10).unwrap_err().to_string();
            assert!(said.contains(what) && said.lines().count() == 1, "{said}");
        }
        let file = dir.path().join("file");
        std::fs::write(&file, [7; 11]).unwrap();
        assert!(read_regular(&file, 10).unwrap_err().to_string().contains("more than 10 bytes"));
        assert_eq!(read_regular(&file, 11).unwrap(), [7; 11]);
    }
}
