#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = npair_recipe::Config::parse("settings", text, &[]);
});
