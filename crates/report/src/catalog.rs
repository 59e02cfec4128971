//! The list of systems for the page, the API and the command line.

use serde::{Deserialize, Serialize};

use crate::ParamValue;

/// One system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemEntry {
    /// Stable name.
    pub id: String,
    /// Display name.
    pub title: String,
    /// Number of its colour and marker shape in charts.
    pub mark: u32,
    /// `attention`, `efficient-attention`, `convolution`, `state-space` or `liquid`.
    pub family: String,
    /// `both`, `causal-only` or `bidirectional-only`.
    pub causality: String,
    /// Time complexity in the field's notation.
    pub complexity: String,
    /// Theoretical exponent of L, without logarithms.
    pub exponent: f64,
    /// Year of the paper.
    pub year: u32,
    /// Authors and title of the paper.
    pub paper: String,
    /// arXiv number.
    pub arxiv: String,
    /// The implementation that the golden vectors come from.
    pub reference: String,
    /// One-sentence summary.
    pub summary: String,
    /// Parameters that a race may set.
    pub params: Vec<ParamEntry>,
    /// Why no form of the system decodes; absent where some form does.
    #[serde(default)]
    pub no_decode: Option<NoDecoding>,
}

/// Why a system does not decode, for readers who choose lanes. A lane of a decode race has the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NoDecoding {
    /// Stable code, e.g. `decode-not-causal`.
    pub code: String,
    /// The English sentence.
    pub message: String,
}

/// One parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParamEntry {
    /// Key.
    pub name: String,
    /// One-sentence description.
    pub help: String,
    /// `count`, `flag`, `number` or `choice`.
    pub kind: String,
    /// Default: the paper's value.
    pub default: ParamValue,
    /// Smallest value, for numbers.
    pub low: Option<f64>,
    /// Largest value, for numbers.
    pub high: Option<f64>,
    /// The allowed words, for choices.
    pub choices: Vec<String>,
}
