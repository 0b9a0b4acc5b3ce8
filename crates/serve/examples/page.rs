//! The page over an index of made-up pictures, until the standard input ends; the address is printed. `--closed` asks for the token
//! for reading too, as it would be on other machines' request.
//!
//! ```text
//! cargo run -p npair-serve --example page                     # token: look-at-this
//! ```
#![allow(clippy::print_stdout, reason = "an example prints")]

mod made_up;

use npair_serve::{ServeSettings, run, stopper};
use std::io::{Read, Write};
use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let dir = tempfile::tempdir()?;
    let index = made_up::index(&dir.path().join("index"))?;
    if let Some(to) = arguments.iter().find(|argument| argument.ends_with(".png")) {
        std::fs::write(to, made_up::picture(1, 2)?)?;
    }
    let is_closed = arguments.iter().any(|argument| argument == "--closed");
    let ip = if is_closed { [0, 0, 0, 0] } else { [127, 0, 0, 1] };
    let settings = ServeSettings {
        address: (ip, 0).into(),
        writable: true,
        token: Some("look-at-this".to_owned()),
        ..ServeSettings::default()
    };
    let (stopper, stop) = stopper();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        stopper.stop();
    });
    let said = |address: std::net::SocketAddr| {
        println!("http://127.0.0.1:{}", address.port());
        let _ = std::io::stdout().flush();
    };
    Ok(run(index, Arc::new(made_up::Colours), settings, said, stop)?)
}
