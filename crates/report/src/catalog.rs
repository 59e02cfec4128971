//! The systems as the page, the API and the command line list them.

use serde::{Deserialize, Serialize};

use crate::ParamValue;

/// One system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemEntry {
    /// Stable name.
    pub id: String,
    /// Name for people.
    pub title: String,
    /// Number of its colour and marker shape in charts.
    pub mark: u32,
    /// `attention`, `efficient-attention`, `convolution`, `state-space` or `liquid`.
    pub family: String,
    /// `both`, `causal-only` or `bidirectional-only`.
    pub causality: String,
    /// Complexity in words of the field.
    pub complexity: String,
    /// Theory's exponent of L.
    pub exponent: f64,
    /// Year of the paper.
    pub year: u32,
    /// Authors and title.
    pub paper: String,
    /// arXiv number.
    pub arxiv: String,
    /// The reference implementation.
    pub reference: String,
    /// One sentence.
    pub summary: String,
    /// Parameters that a race may set.
    pub params: Vec<ParamEntry>,
}

/// One parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParamEntry {
    /// Key.
    pub name: String,
    /// One sentence.
    pub help: String,
    /// `count`, `flag`, `number` or `choice`.
    pub kind: String,
    /// The paper's value.
    pub default: ParamValue,
    /// Smallest value, for numbers.
    pub low: Option<f64>,
    /// Largest value, for numbers.
    pub high: Option<f64>,
    /// The words, for choices.
    pub choices: Vec<String>,
}
