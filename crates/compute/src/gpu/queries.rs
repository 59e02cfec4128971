//! Timestamp queries of passes and their read-back.

use super::device::Gpu;

/// Timestamps at the beginning and end of each pass.
pub(crate) struct Queries {
    set: wgpu::QuerySet,
    /// Target of the resolve step, from which timestamps are copied to mappable memory.
    pub resolved: wgpu::Buffer,
}

impl Queries {
    /// Most passes in a run that has timestamps.
    const MAX_PASSES: usize = 256;

    /// Bytes of all timestamps.
    pub const BYTES: u64 = 16 * Self::MAX_PASSES as u64;

    /// Requires a device with the timestamp feature.
    pub fn new(gpu: &Gpu) -> Self {
        let set = gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
            label: None,
            ty: wgpu::QueryType::Timestamp,
            count: 2 * Self::MAX_PASSES as u32,
        });
        let resolved = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: Self::BYTES,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        Self { set, resolved }
    }

    /// The timestamp writes of pass number `pass`; `None` beyond [`Self::MAX_PASSES`].
    pub fn writes(&self, pass: usize) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        let begin = 2 * pass as u32;
        (pass < Self::MAX_PASSES).then_some(wgpu::ComputePassTimestampWrites {
            query_set: &self.set,
            beginning_of_pass_write_index: Some(begin),
            end_of_pass_write_index: Some(begin + 1),
        })
    }

    /// Copies the timestamps of `passes` passes to `offset` of `to`.
    pub fn resolve(&self, encoder: &mut wgpu::CommandEncoder, passes: usize, to: &wgpu::Buffer, offset: u64) {
        let passes = passes.min(Self::MAX_PASSES);
        encoder.resolve_query_set(&self.set, 0..2 * passes as u32, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, to, offset, 16 * passes as u64);
    }

    /// The timestamps from the bytes read back; `None` where a pass had no queries.
    pub fn stamps(bytes: &[u8], passes: usize) -> Option<Vec<u64>> {
        if passes > Self::MAX_PASSES {
            return None;
        }
        let words = bytes.as_chunks::<8>().0.get(..2 * passes)?;
        Some(words.iter().map(|&word| u64::from_le_bytes(word)).collect())
    }
}

impl Drop for Queries {
    fn drop(&mut self) {
        self.set.destroy();
    }
}
