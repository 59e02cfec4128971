//! Lists in a link. Each list has a maximum length in its type, so that a longer list is refused before it is read: a
//! few characters can inflate to a list that fills the memory.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use race::RaceSpec;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Most lanes, and most entries of lists with one entry per lane.
pub(super) const LANES: usize = RaceSpec::MAX_LANES;
/// Most lengths.
pub(super) const LENGTHS: usize = RaceSpec::MAX_LENGTHS;
/// Most points of a report.
pub(super) const POINTS: usize = LANES * LENGTHS;
/// Most strings listed in a link. One per point, per warning and per parameter would be more than any race has.
pub(super) const WORDS: usize = 2048;
/// Most parameters of a lane, as in a configuration.
pub(super) const PARAMS: usize = 32;

/// Most kernel choices.
pub(super) const KERNELS: usize = crate::validate::MAX_KERNELS;

/// A list of at most `MAX` entries, with the wire format of an ordinary list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> From<Vec<T>> for List<T, MAX> {
    fn from(entries: Vec<T>) -> Self {
        Self(entries)
    }
}

impl<T, const MAX: usize> FromIterator<T> for List<T, MAX> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T, const MAX: usize> DerefMut for List<T, MAX> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Entries::<T, MAX>(PhantomData))
    }
}

struct Entries<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Entries<T, MAX> {
    type Value = List<T, MAX>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "a list of at most {MAX}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            if list.len() == MAX {
                return Err(A::Error::custom("a list that is too long"));
            }
            list.push(entry);
        }
        Ok(List(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_22_a_list_is_refused_where_it_gets_too_long() {
        let read =
            |n: usize| postcard::from_bytes::<List<u8, 3>>(&postcard::to_allocvec(&vec![7_u8; n]).unwrap());
        assert_eq!(read(3).map(|list| list.to_vec()), Ok(vec![7; 3]));
        assert!(read(4).is_err());
        // The list claims more entries than there are bytes.
        assert!(postcard::from_bytes::<List<u8, 3>>(&[0xff, 0xff, 0xff, 0x7f]).is_err());
        assert_eq!(
            postcard::to_allocvec(&List::<u8, 3>::from(vec![1, 2])),
            postcard::to_allocvec(&vec![1_u8, 2])
        );
    }
}
