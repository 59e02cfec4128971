//! Golden files: safetensors with a system's configuration, weights, input and the output of the authors' code.
//!
//! Files may come from anyone, so sizes are limited before anything is parsed, and errors name the wrong part.

mod check;
mod error;

use std::collections::HashMap;

use mixer::{Case, Deviation, Level, Params, Tensor, Tensors, Tolerance, Value, text};
use safetensors::{Dtype, SafeTensorError, SafeTensors};

pub use error::GoldenError;

pub(crate) use check::{check, unread_tensors};

/// Largest file accepted, in bytes.
pub const MAX_FILE_BYTES: usize = 64 << 20;

/// Largest header accepted, in bytes.
pub const MAX_HEADER_BYTES: u64 = 1 << 20;

/// Longest displayed name of a case, in characters.
const MAX_NAME: usize = 120;

/// A parsed golden file.
#[derive(Debug, Clone, PartialEq)]
pub struct GoldenCase {
    /// Name of the system, cleaned for display.
    pub system: String,
    /// Name of the case, cleaned for display.
    pub case_name: String,
    /// Configuration, weights and input. Also contains `y`, which no kernel reads.
    pub case: Case,
    /// The expected output, row-major.
    pub expected: Vec<f64>,
    /// Shape of the expected output.
    pub shape: Vec<usize>,
    /// The tolerance stated by the file. Where a file states a separate tolerance for a given filter (Hyena), that one
    /// is used, since filters are computed in f64 here.
    pub tolerance: Tolerance,
}

/// Result of a verification against a golden file.
#[derive(Debug, Clone, PartialEq)]
pub struct GoldenResult {
    /// Name of the system that ran. Files of `attention` also serve `attention-naive`.
    pub system: String,
    /// Name of the case.
    pub case_name: String,
    /// Core or layer.
    pub level: Level,
    /// The deviation of the output.
    pub deviation: Deviation,
    /// The file's own tolerance, which [`Machine::verify_golden`](crate::Machine) accepts within a range.
    pub tolerance: Tolerance,
    /// Unread keys of the file's configuration, then its unread tensors. With any of these, the file may describe
    /// another computation.
    pub unread: Vec<String>,
}

/// Reads a golden file.
///
/// # Errors
/// [`GoldenError`] names the invalid part.
pub fn read(bytes: &[u8]) -> Result<GoldenCase, GoldenError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(GoldenError::TooLarge { got: bytes.len() });
    }
    if let Some(length) = bytes.first_chunk().copied().map(u64::from_le_bytes)
        && length > MAX_HEADER_BYTES
    {
        return Err(GoldenError::HeaderTooLarge { got: length });
    }
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| unreadable(&error))?;
    let header = metadata.metadata().clone().unwrap_or_default();
    let file = SafeTensors::deserialize(bytes).map_err(|error| unreadable(&error))?;
    let mut tensors = Tensors::new();
    for (name, view) in file.iter() {
        insert(&mut tensors, name, view.dtype(), view.shape(), view.data())?;
    }
    let (expected, shape) = match tensors.get("y") {
        Some(Tensor::F32 { shape, data }) => {
            (data.iter().map(|&value| f64::from(value)).collect(), shape.clone())
        }
        Some(Tensor::I32 { .. }) => return Err(GoldenError::OutputKind),
        None => return Err(GoldenError::MissingOutput),
    };
    let level = match string(&header, "level")? {
        "core" => Level::Core,
        "layer" => Level::Layer,
        _ => return Err(GoldenError::BadKey { key: "level", expected: "`core` or `layer`" }),
    };
    Ok(GoldenCase {
        system: text::clean(string(&header, "system")?, MAX_NAME),
        case_name: text::clean(string(&header, "case")?, MAX_NAME),
        expected,
        shape,
        tolerance: tolerance(&header)?,
        case: Case { level, config: config(&header)?, tensors },
    })
}

/// The parser's message, cleaned, since it may quote the file.
fn unreadable(error: &SafeTensorError) -> GoldenError {
    let reason = match error {
        SafeTensorError::MetadataIncompleteBuffer => {
            "it does not end where its tensors do; cut off, or followed by something else".to_owned()
        }
        SafeTensorError::InvalidHeaderLength | SafeTensorError::HeaderTooSmall => {
            "it ends before its header does; is it cut off?".to_owned()
        }
        other => text::clean(&other.to_string(), MAX_NAME),
    };
    GoldenError::Format { reason }
}

fn string<'a>(header: &'a HashMap<String, String>, key: &'static str) -> Result<&'a str, GoldenError> {
    header.get(key).map(String::as_str).ok_or(GoldenError::MissingKey { key })
}

fn object(
    header: &HashMap<String, String>,
    key: &'static str,
) -> Result<serde_json::Map<String, serde_json::Value>, GoldenError> {
    serde_json::from_str(string(header, key)?)
        .map_err(|_| GoldenError::BadKey { key, expected: "a JSON object (NaN and Infinity are not JSON)" })
}

fn config(header: &HashMap<String, String>) -> Result<Params, GoldenError> {
    let mut params = Params::new();
    for (name, value) in object(header, "config")? {
        params.set(name, convert(&value)?);
    }
    Ok(params)
}

fn convert(value: &serde_json::Value) -> Result<Value, GoldenError> {
    use serde_json::Value as Json;
    Ok(match value {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Value::Int(integer),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(values) => Value::List(values.iter().map(convert).collect::<Result<_, _>>()?),
        Json::Object(_) => {
            return Err(GoldenError::BadKey {
                key: "config",
                expected: "an object of plain values and lists",
            });
        }
    })
}

fn tolerance(header: &HashMap<String, String>) -> Result<Tolerance, GoldenError> {
    let stated = object(header, "tolerance")?;
    let number = |key: &str| {
        stated.get(key).and_then(serde_json::Value::as_f64).filter(|value| value.is_finite() && *value >= 0.0)
    };
    let bad = GoldenError::BadKey {
        key: "tolerance",
        expected: "an object with finite numbers `abs` and `rel`, not negative",
    };
    match (number("abs_given_k").or_else(|| number("abs")), number("rel")) {
        (Some(abs), Some(rel)) => Ok(Tolerance { abs, rel }),
        _ => Err(bad),
    }
}

fn insert(
    tensors: &mut Tensors,
    name: &str,
    dtype: Dtype,
    shape: &[usize],
    data: &[u8],
) -> Result<(), GoldenError> {
    let words = || data.as_chunks::<4>().0.iter().copied();
    let doubles = || data.as_chunks::<8>().0.iter().copied();
    match dtype {
        Dtype::F32 => tensors.insert(name, shape, words().map(f32::from_le_bytes).collect()),
        Dtype::F64 => {
            tensors.insert(name, shape, doubles().map(|word| f64::from_le_bytes(word) as f32).collect());
        }
        Dtype::F16 => {
            let wide = |half: &[u8; 2]| half::f16::from_le_bytes(*half).to_f32();
            tensors.insert(name, shape, data.as_chunks().0.iter().map(wide).collect());
        }
        Dtype::BF16 => {
            let wide = |half: &[u8; 2]| half::bf16::from_le_bytes(*half).to_f32();
            tensors.insert(name, shape, data.as_chunks().0.iter().map(wide).collect());
        }
        Dtype::I32 => tensors.insert_i32(name, shape, words().map(i32::from_le_bytes).collect()),
        Dtype::I64 => {
            let narrow = |word| {
                let value = i64::from_le_bytes(word);
                i32::try_from(value).map_err(|_| GoldenError::Index { name: text::shown(name), value })
            };
            tensors.insert_i32(name, shape, doubles().map(narrow).collect::<Result<_, _>>()?);
        }
        other => return Err(GoldenError::TensorType { name: text::shown(name), got: format!("{other:?}") }),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file() -> Vec<u8> {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../kernels/golden/attention/core_L1_D32_H2.safetensors");
        std::fs::read(path).unwrap()
    }

    #[test]
    fn reads_what_the_header_says() {
        let golden = read(&file()).unwrap();
        assert_eq!((golden.system.as_str(), golden.case_name.as_str()), ("attention", "core_L1_D32_H2"));
        assert_eq!(golden.case.level, Level::Core);
        assert_eq!(golden.case.config.get("heads"), Some(&Value::Int(2)));
        assert_eq!(golden.tolerance, Tolerance { abs: 1e-5, rel: 1e-4 });
        assert_eq!(golden.expected.len(), 2 * 32);
    }

    #[test]
    fn half_precision_is_widened_exactly() {
        let read = |dtype, bits: [u16; 4]| {
            let bytes: Vec<u8> = bits.into_iter().flat_map(u16::to_le_bytes).collect();
            let mut tensors = Tensors::new();
            insert(&mut tensors, "x", dtype, &[2, 2], &bytes).unwrap();
            tensors.floats("x", &[2, 2]).unwrap().to_vec()
        };
        // The smallest subnormal and the largest number of each type.
        assert_eq!(
            read(Dtype::F16, [0x3c00, 0xb800, 0x0001, 0x7bff]),
            [1.0, -0.5, 2.0_f32.powi(-24), 65_504.0]
        );
        assert_eq!(
            read(Dtype::BF16, [0x3f80, 0xbf00, 0x0001, 0x7f7f]),
            [1.0, -0.5, f32::from_bits(1 << 16), f32::from_bits(0x7f7f_0000)]
        );
    }

    #[test]
    fn cut_at_any_length_it_is_an_error() {
        let whole = file();
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn an_oversized_header_is_refused_before_it_is_read() {
        let mut bytes = file();
        bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(read(&bytes), Err(GoldenError::HeaderTooLarge { got: u64::MAX }));
    }

    fn with_header(change: impl FnOnce(String) -> String) -> Vec<u8> {
        let bytes = file();
        let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
        let header = change(String::from_utf8(bytes[8..8 + length].to_vec()).unwrap());
        let mut changed = (header.len() as u64).to_le_bytes().to_vec();
        changed.extend(header.as_bytes());
        changed.extend(&bytes[8 + length..]);
        changed
    }

    #[test]
    fn errors_name_the_wrong_header_key() {
        let swap = |from: &'static str, to: &'static str| {
            read(&with_header(move |header| {
                assert!(header.contains(from), "{header}");
                header.replace(from, to)
            }))
        };
        assert_eq!(swap("\"level\"", "\"levels\""), Err(GoldenError::MissingKey { key: "level" }));
        assert!(matches!(swap("\"core\"", "\"score\""), Err(GoldenError::BadKey { key: "level", .. })));
        assert!(matches!(swap("{\\\"abs", "[\\\"abs"), Err(GoldenError::BadKey { key: "tolerance", .. })));
        assert!(matches!(swap("1e-05", "-1"), Err(GoldenError::BadKey { key: "tolerance", .. })));
        assert_eq!(swap("\"y\"", "\"z\""), Err(GoldenError::MissingOutput));
        for number in ["NaN", "Infinity", "1e999", "null", "[]"] {
            let changed = with_header(|header| header.replace("1e-05", number));
            let error = read(&changed).unwrap_err();
            assert!(matches!(error, GoldenError::BadKey { key: "tolerance", .. }), "{number}: {error}");
        }
    }

    #[test]
    fn bytes_after_the_tensors_are_refused() {
        let error = read(&[file(), vec![0; 8]].concat()).unwrap_err();
        assert!(error.to_string().contains("followed by something else"), "{error}");
    }

    #[test]
    fn fault_25_names_come_out_fit_for_a_terminal() {
        let name = "core_L1_D32_H2";
        let hostile = r"core\u001b[2J\u202e";
        let golden = read(&with_header(|header| header.replace(name, hostile))).unwrap();
        assert_eq!(golden.case_name, "core [2J ");
        let error = read(&with_header(|header| header.replace("\"F32\"", r#""F3\u001b[2J""#))).unwrap_err();
        assert!(!error.to_string().contains('\u{1b}'), "{error:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(read(&bytes).is_err());
        }

        #[test]
        fn flipped_bits_never_panic(at in 0_usize..1600, bit in 0_u8..8) {
            let mut bytes = file();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = read(&bytes);
        }
    }
}
