//! A case: one concrete instance of a system, with its configuration, weights and input.
//!
//! Golden files and seeded races both become a `Case` with equal tensor names, so that a kernel has one entry point and
//! the verified code is the raced code.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Count, Level, MixerError, Params};

/// A dense row-major tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Tensor {
    /// 32-bit floats.
    F32 {
        /// Dimensions, outermost first.
        shape: Vec<usize>,
        /// Elements, row-major.
        data: Vec<f32>,
    },
    /// 32-bit integer indices.
    I32 {
        /// Dimensions, outermost first.
        shape: Vec<usize>,
        /// Elements, row-major.
        data: Vec<i32>,
    },
}

impl Tensor {
    /// Dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::F32 { shape, .. } | Self::I32 { shape, .. } => shape,
        }
    }
}

/// Tensors by name, e.g. `x`, `q`, `param.query.weight`. Each records whether it was read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tensors(BTreeMap<String, Entry>);

#[derive(Debug)]
struct Entry {
    tensor: Tensor,
    read: AtomicBool,
}

impl Entry {
    fn new(tensor: Tensor) -> Self {
        Self { tensor, read: AtomicBool::new(false) }
    }
}

impl Clone for Entry {
    fn clone(&self) -> Self {
        Self::new(self.tensor.clone())
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.tensor == other.tensor
    }
}

impl Tensors {
    /// No tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds floats. `data.len()` must be the product of `shape`.
    pub fn insert(&mut self, name: impl Into<String>, shape: &[usize], data: Vec<f32>) {
        debug_assert_eq!(shape.iter().product::<usize>(), data.len());
        self.0.insert(name.into(), Entry::new(Tensor::F32 { shape: shape.to_vec(), data }));
    }

    /// Adds indices. `data.len()` must be the product of `shape`.
    pub fn insert_i32(&mut self, name: impl Into<String>, shape: &[usize], data: Vec<i32>) {
        debug_assert_eq!(shape.iter().product::<usize>(), data.len());
        self.0.insert(name.into(), Entry::new(Tensor::I32 { shape: shape.to_vec(), data }));
    }

    /// One tensor, if present.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        let entry = self.0.get(name)?;
        entry.read.store(true, Ordering::Relaxed);
        Some(&entry.tensor)
    }

    /// All tensors in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, entry)| (name.as_str(), &entry.tensor))
    }

    /// Names of the tensors that were never read by name, in name order.
    pub fn unread(&self) -> impl Iterator<Item = &str> {
        let entries = self.0.iter().filter(|(_, entry)| !entry.read.load(Ordering::Relaxed));
        entries.map(|(name, _)| name.as_str())
    }

    /// Checks that every float is finite. Kernels may bound a maximum where they need no exact one, so a NaN in an
    /// input would not always reach the output.
    ///
    /// # Errors
    /// [`MixerError::NotFinite`] names the first value that is not finite.
    pub fn check_finite(&self) -> Result<(), MixerError> {
        for (name, tensor) in self.iter() {
            let Tensor::F32 { data, .. } = tensor else { continue };
            if let Some(index) = data.iter().position(|value| !value.is_finite()) {
                return Err(MixerError::NotFinite {
                    name: name.to_owned(),
                    index,
                    value: data[index].to_string(),
                });
            }
        }
        Ok(())
    }

    /// The floats of `name`, which must have exactly `shape`.
    ///
    /// # Errors
    /// [`MixerError::MissingTensor`], [`MixerError::TensorKind`] or [`MixerError::TensorShape`].
    pub fn floats(&self, name: &str, shape: &[usize]) -> Result<&[f32], MixerError> {
        match self.get(name) {
            None => Err(MixerError::MissingTensor { name: name.to_owned() }),
            Some(Tensor::F32 { shape: got, data }) if got == shape => Ok(data),
            Some(Tensor::F32 { shape: got, .. }) => Err(shape_error(name, shape, got)),
            Some(Tensor::I32 { .. }) => Err(kind_error(name, "floats", "whole numbers")),
        }
    }

    /// The indices of `name`, which must have exactly `shape`.
    ///
    /// # Errors
    /// [`MixerError::MissingTensor`], [`MixerError::TensorKind`] or [`MixerError::TensorShape`].
    pub fn indices(&self, name: &str, shape: &[usize]) -> Result<&[i32], MixerError> {
        match self.get(name) {
            None => Err(MixerError::MissingTensor { name: name.to_owned() }),
            Some(Tensor::I32 { shape: got, data }) if got == shape => Ok(data),
            Some(Tensor::I32 { shape: got, .. }) => Err(shape_error(name, shape, got)),
            Some(Tensor::F32 { .. }) => Err(kind_error(name, "whole numbers", "floats")),
        }
    }

    /// Bytes of all tensors together.
    pub fn bytes(&self) -> u64 {
        let elements = |tensor: &Tensor| tensor.shape().iter().map(|&n| Count::from(n)).product::<Count>();
        self.0.values().map(|entry| 4 * elements(&entry.tensor)).sum::<Count>().get()
    }
}

fn shape_error(name: &str, expected: &[usize], got: &[usize]) -> MixerError {
    MixerError::TensorShape { name: name.to_owned(), expected: expected.to_vec(), got: got.to_vec() }
}

fn kind_error(name: &str, expected: &'static str, got: &'static str) -> MixerError {
    MixerError::TensorKind { name: name.to_owned(), expected, got }
}

/// One instance of a system: configuration (keys as in golden files), weights and input.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Core or layer.
    pub level: Level,
    /// `d_model`, `heads`, `batch`, `length`, `causal` and the system's own parameters.
    pub config: Params,
    /// Input and weights.
    pub tensors: Tensors,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unread_tensors_are_listed() {
        let mut tensors = Tensors::new();
        for name in ["x", "y", "mask"] {
            tensors.insert(name, &[1], vec![0.0]);
        }
        assert!(tensors.floats("x", &[1]).is_ok() && tensors.floats("mask", &[2]).is_err());
        assert!(tensors.unread().eq(["y"]));
        assert_eq!(tensors.iter().count(), 3);
        assert!(tensors.unread().eq(["y"]) && tensors.clone().unread().eq(["mask", "x", "y"]));
    }

    #[test]
    fn fault_10_the_first_number_that_is_not_finite_is_named() {
        let mut tensors = Tensors::new();
        tensors.insert("q", &[2], vec![f32::MAX, -0.0]);
        assert_eq!(tensors.check_finite(), Ok(()));
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            tensors.insert("k", &[3], vec![0.0, value, f32::NAN]);
            let error = tensors.check_finite().unwrap_err();
            assert!(matches!(error, MixerError::NotFinite { name, index: 1, .. } if name == "k"));
        }
    }

    #[test]
    fn tensors_of_wrong_kind_or_shape_are_refused() {
        let mut tensors = Tensors::new();
        tensors.insert("x", &[2], vec![0.0; 2]);
        tensors.insert_i32("mask", &[2], vec![0; 2]);
        assert!(
            matches!(tensors.floats("mask", &[2]), Err(MixerError::TensorKind { name, .. }) if name == "mask")
        );
        assert!(
            matches!(tensors.indices("x", &[2]), Err(MixerError::TensorKind { name, .. }) if name == "x")
        );
        assert!(matches!(tensors.floats("x", &[1, 2]), Err(MixerError::TensorShape { .. })));
        assert!(matches!(tensors.indices("y", &[2]), Err(MixerError::MissingTensor { .. })));
    }
}
