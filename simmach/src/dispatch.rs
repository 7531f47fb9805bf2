//! Simulated or real: where a handle is made decides, and from then on the handle knows.
//!
//! A handle is an enum with a variant for each of the features `sim` and `real`. With one of them it has one variant, and
//! nothing is decided. With both, what is made in a run is the simulation's and what is made anywhere else is tokio's.

/// Makes something of the world that this is run in.
#[cfg(all(feature = "sim", feature = "real"))]
macro_rules! here {
    (simulated => $simulated:expr, real => $real:expr $(,)?) => {
        if $crate::engine::context::is_here() { $simulated } else { $real }
    };
}

/// Makes something of the simulation.
#[cfg(all(feature = "sim", not(feature = "real")))]
macro_rules! here {
    (simulated => $simulated:expr, real => $real:expr $(,)?) => {
        $simulated
    };
}

/// Makes something of the real world.
#[cfg(all(feature = "real", not(feature = "sim")))]
macro_rules! here {
    (simulated => $simulated:expr, real => $real:expr $(,)?) => {
        $real
    };
}

/// Asks a handle, whichever it is: `$kind` is its enum.
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
