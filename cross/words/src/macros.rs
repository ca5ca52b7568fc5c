//! `catalogue!`: an area of the catalogue as an enum, a variant a text, a field a place.

/// ```text
/// catalogue! {
///     /// The words of `simpul card`.
///     Card {
///         Verified { bytes, device }
///             id "{bytes} di {device} cocok."
///             en "{bytes} on {device} match.";
///     }
/// }
/// ```
macro_rules! catalogue {
    (
        $(#[$about:meta])*
        $area:ident {
            $( $name:ident $({ $($place:ident),+ $(,)? })? id $indonesian:literal en $english:literal; )*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy)]
        #[allow(missing_docs, reason = "a field is the place of the same name in the text")]
        pub enum $area<'a> {
            $(
                // A text's brackets are its own: no links, no tags.
                #[allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]
                #[doc = concat!("id: ", $indonesian, "\n\nen: ", $english)]
                $name $({ $( $place: &'a dyn std::fmt::Display ),+ })?,
            )*
            /// Never said: holds the lifetime in areas without places.
            #[doc(hidden)]
            Nothing(std::convert::Infallible, std::marker::PhantomData<&'a ()>),
        }

        impl $area<'_> {
            /// Every text of this area.
            pub const ENTRIES: &'static [$crate::Entry] = &[
                $( $crate::Entry {
                    key: concat!(stringify!($area), ".", stringify!($name)),
                    indonesian: $indonesian,
                    english: $english,
                    places: &[ $($( stringify!($place) ),+)? ],
                } ),*
            ];
        }

        impl $crate::Words for $area<'_> {
            fn key(&self) -> &'static str {
                match self {
                    $( Self::$name { .. } => concat!(stringify!($area), ".", stringify!($name)), )*
                    Self::Nothing(never, _) => match *never {},
                }
            }

            fn write(&self, language: $crate::Language, out: &mut dyn std::fmt::Write) -> std::fmt::Result {
                match self {
                    $( Self::$name $({ $( $place ),+ })? => $crate::internal::fill(
                        match language {
                            $crate::Language::Indonesian => $indonesian,
                            $crate::Language::English => $english,
                        },
                        &[ $($( (stringify!($place), $place as &dyn std::fmt::Display) ),+)? ],
                        out,
                    ), )*
                    Self::Nothing(never, _) => match *never {},
                }
            }
        }

        $(
            const _: () = assert!(
                $crate::internal::places_match($indonesian, &[ $($( stringify!($place) ),+)? ]),
                concat!(stringify!($area), ".", stringify!($name), ": the Indonesian text has other places than declared"),
            );
            const _: () = assert!(
                $crate::internal::places_match($english, &[ $($( stringify!($place) ),+)? ]),
                concat!(stringify!($area), ".", stringify!($name), ": the English text has other places than declared"),
            );
        )*
    };
}

pub(crate) use catalogue;
