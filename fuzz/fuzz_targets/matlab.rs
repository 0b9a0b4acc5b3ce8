#![no_main]

libfuzzer_sys::fuzz_target!(
    init: {
        // The reader of another panics over damage, which npair catches: only what is not caught ends the run.
        std::panic::set_hook(Box::new(|_| ()));
    },
    |bytes: &[u8]| {
        let _ = npair_data::hostile::matlab(bytes);
    }
);
