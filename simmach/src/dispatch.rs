//! Macros for handles that are simulated or real.
//!
//! A handle is an enum with a variant for each of the features `sim` and `real`. With both
//! features, handles created in a run are simulated, and all others are real. With only one of the
//! features, the enum has one variant, and the compiler removes the choice.

/// Evaluates `simulated` in a run, and `real` outside a run.
#[cfg(all(feature = "sim", feature = "real"))]
macro_rules! here {
    (simulated => $simulated:expr, real => $real:expr $(,)?) => {
        if $crate::engine::context::is_here() { $simulated } else { $real }
    };
}

/// Evaluates `simulated`: without the feature `real` there is no alternative.
#[cfg(all(feature = "sim", not(feature = "real")))]
macro_rules! here {
    (simulated => $simulated:expr, real => $real:expr $(,)?) => {
        $simulated
    };
}

/// Evaluates `real`: without the feature `sim` there is no alternative.
#[cfg(all(feature = "real", not(feature = "sim")))]
macro_rules! here {
    (simulated => $simulated:expr, real => $real:expr $(,)?) => {
        $real
    };
}

/// Matches on a handle of the enum `$kind`, with one expression for both variants or one for each
/// variant.
macro_rules! either {
    ($kind:ident of $handle:expr, $inner:ident => $answer:expr) => {
        either!($kind of $handle, simulated $inner => $answer, real $inner => $answer)
    };
    ($kind:ident of $handle:expr, simulated $simulated:pat => $one:expr, real $real:pat => $other:expr $(,)?) => {
        match $handle {
            #[cfg(feature = "sim")]
            $kind::Simulated($simulated) => $one,
            #[cfg(feature = "real")]
            $kind::Real($real) => $other,
        }
    };
}
