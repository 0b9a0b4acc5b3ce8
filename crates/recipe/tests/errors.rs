//! Errors of the floors below become those of the floor above, and no glob import takes the standard `Result` away.

use std::error::Error;

fn converts<Below, Above: From<Below>>() {}

#[test]
fn errors_of_the_floors_below_convert() {
    converts::<npair_types::Error, npair_losses::Error>();
    converts::<npair_types::Error, npair_batch::Error>();
    converts::<npair_types::Error, npair_metrics::Error>();
    converts::<npair_types::Error, npair_data::Error>();
    converts::<npair_types::Error, npair_backbones::Error>();
    macro_rules! both_of_the_top {
        ($($below:ty),*) => {$(
            converts::<$below, npair_train::Error>();
            converts::<$below, npair_recipe::Error>();
        )*};
    }
    both_of_the_top!(
        npair_types::Error,
        npair_data::Error,
        npair_metrics::Error,
        npair_losses::Error,
        npair_batch::Error,
        npair_backbones::Error,
        npair_evaluate::Error,
        candle_core::Error
    );
    converts::<npair_train::Error, npair_recipe::Error>();
}

/// A function of each crate's user, who imports all of it.
macro_rules! imported {
    ($($name:ident: $of:ident),*) => {$(
        mod $name {
            #[allow(unused_imports, reason = "what a user does")]
            use $of::*;

            pub fn standard() -> Result<u8, Box<dyn std::error::Error>> {
                Ok(u8::try_from(7u32)?)
            }

            pub fn own() -> Result<u8> {
                Ok(7)
            }
        }
    )*};
}

imported!(
    types: npair_types, losses: npair_losses, batch: npair_batch, metrics: npair_metrics, data: npair_data,
    backbones: npair_backbones, evaluate: npair_evaluate, train: npair_train, recipe: npair_recipe
);

#[test]
fn a_glob_import_leaves_the_standard_result_usable() -> Result<(), Box<dyn Error>> {
    for found in [types::standard, losses::standard, batch::standard, metrics::standard, data::standard] {
        assert_eq!(found()?, 7);
    }
    for found in [backbones::standard, evaluate::standard, train::standard, recipe::standard] {
        assert_eq!(found()?, 7);
    }
    let own = [types::own()?, losses::own()?, batch::own()?, metrics::own()?, data::own()?];
    assert_eq!(own, [7; 5]);
    assert_eq!([backbones::own()?, evaluate::own()?, train::own()?, recipe::own()?], [7; 4]);
    Ok(())
}
