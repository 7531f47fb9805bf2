//! The services of a machine: mostly one, which needs no memory of its own.

use std::ops::{Deref, DerefMut};
use std::slice;

use super::Installed;

#[derive(Debug)]
pub(crate) enum Services {
    None,
    One(Installed),
    Many(Vec<Installed>),
}

impl Services {
    pub(super) fn push(&mut self, installed: Installed) {
        *self = match std::mem::replace(self, Self::None) {
            Self::None => Self::One(installed),
            Self::One(first) => Self::Many(vec![first, installed]),
            Self::Many(mut all) => {
                all.push(installed);
                Self::Many(all)
            }
        };
    }
}

impl Deref for Services {
    type Target = [Installed];

    fn deref(&self) -> &[Installed] {
        match self {
            Self::None => &[],
            Self::One(installed) => slice::from_ref(installed),
            Self::Many(all) => all,
        }
    }
}

impl DerefMut for Services {
    fn deref_mut(&mut self) -> &mut [Installed] {
        match self {
            Self::None => &mut [],
            Self::One(installed) => slice::from_mut(installed),
            Self::Many(all) => all,
        }
    }
}
