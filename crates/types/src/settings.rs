/// The settings of a part, as its settings file and its documentation see them. Written by [`settings!`](crate::settings!).
pub trait Settings {
    /// The first words of the documentation: what the part is.
    const ABOUT: &'static str;
    /// The settings in their order.
    const FIELDS: &'static [Field];
}

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its key.
    pub name: &'static str,
    /// Its meaning, and its legal values.
    pub about: &'static str,
    /// Its usual value, as written in the source.
    pub usual: &'static str,
}

/// The settings of a part in one place: names, kinds, usual values and words.
///
/// Gives the struct with public fields, `Default`, serde in both directions (a key that is left out has its usual value, an
/// unknown one is an error), and [`Settings`], of which a page of documentation is written. Attributes on fields go through, so
/// an old spelling stays legal as `#[serde(alias = "..")]`. The crate that writes it depends on `npair-types` by that name, and
/// on no serde of its own.
///
/// ```
/// npair_types::settings! {
///     /// Circle loss.
///     pub struct CircleSettings {
///         /// Relaxation m, from 0 to 1.
///         margin: f64 = 0.4,
///         /// Scale g of logits, above 0.
///         #[serde(alias = "scale")]
///         gamma: f64 = 80.0,
///     }
/// }
/// use npair_types::Settings;
///
/// assert_eq!(CircleSettings::default().gamma, 80.);
/// assert_eq!(CircleSettings::ABOUT, "Circle loss.");
/// assert_eq!((CircleSettings::FIELDS[0].name, CircleSettings::FIELDS[0].usual), ("margin", "0.4"));
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[$($meta:tt)*])*
        $vis:vis struct $name:ident {
            $($(#[$($field_meta:tt)*])* $field:ident : $kind:ty = $usual:expr),* $(,)?
        }
    ) => {
        $(#[$($meta)*])*
        #[derive(Debug, Clone, PartialEq, $crate::__serde::Serialize, $crate::__serde::Deserialize)]
        #[serde(crate = "npair_types::__serde", deny_unknown_fields, default)]
        $vis struct $name {
            $($(#[$($field_meta)*])* pub $field: $kind,)*
        }

        impl ::core::default::Default for $name {
            fn default() -> Self {
                Self { $($field: $usual),* }
            }
        }

        impl $crate::Settings for $name {
            const ABOUT: &'static str = $crate::__words!([] $(#[$($meta)*])*);
            const FIELDS: &'static [$crate::Field] = &[
                $($crate::Field {
                    name: ::core::stringify!($field),
                    about: $crate::__words!([] $(#[$($field_meta)*])*),
                    usual: ::core::stringify!($usual),
                },)*
            ];
        }
    };
}

/// The documentation among attributes.
#[doc(hidden)]
#[macro_export]
macro_rules! __words {
    ([$($line:literal)*]) => {
        ::core::concat!($($line, "\n",)*).trim_ascii()
    };
    ([$($line:literal)*] #[doc = $next:literal] $($rest:tt)*) => {
        $crate::__words!([$($line)* $next] $($rest)*)
    };
    ([$($line:literal)*] #[$($other:tt)*] $($rest:tt)*) => {
        $crate::__words!([$($line)*] $($rest)*)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::settings! {
        /// A part
        /// of two lines.
        pub struct Made {
            /// How many.
            #[serde(alias = "number")]
            count: usize = 1 + 1,
            /// By which measure.
            measure: crate::Measure = crate::Measure::Cosine,
        }
    }

    crate::settings! {
        /// Nothing to set.
        pub struct Plain {}
    }

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
        serde_json::from_str(text).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_left_out_is_usual_and_what_is_unknown_is_refused() {
        let usual = Made::default();
        assert_eq!((usual.count, usual.measure), (2, crate::Measure::Cosine));
        assert_eq!(read::<Made>("{}").unwrap(), usual);
        assert_eq!(read::<Made>(r#"{"number": 5, "measure": "dot"}"#).unwrap().count, 5);
        assert!(read::<Made>(r#"{"cuont": 5}"#).unwrap_err().contains("unknown field `cuont`"));
        assert!(read::<Plain>(r#"{"count": 5}"#).unwrap_err().contains("unknown field"));
        assert_eq!(serde_json::to_string(&usual).unwrap(), r#"{"count":2,"measure":"cosine"}"#);
        assert_eq!(read::<Plain>("{}").unwrap(), Plain {});
    }

    #[test]
    fn words_and_names_are_kept() {
        assert_eq!(Made::ABOUT, "A part\n of two lines.");
        let [count, measure] = Made::FIELDS else { panic!("{:?}", Made::FIELDS) };
        assert_eq!((count.name, count.about, count.usual), ("count", "How many.", "1 + 1"));
        assert_eq!(measure.name, "measure");
        assert!(Plain::FIELDS.is_empty());
    }
}
