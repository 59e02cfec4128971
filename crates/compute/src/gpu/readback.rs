//! Reads the output back from the device.

use mixer::{BufferId, LaneError};

use super::lane::GpuLane;
use super::prepare::buffer;
use super::signal::signal;

/// Most bytes written or read at once, so that staging memory stays small compared with the lane's.
pub(super) const PIECE_BYTES: u64 = 16 << 20;

impl GpuLane {
    /// Maps a buffer, copies its contents and unmaps it.
    pub(super) async fn map(&self, buffer: &wgpu::Buffer, what: &'static str) -> Result<Vec<u8>, LaneError> {
        let (setter, mapped) = signal();
        buffer.map_async(wgpu::MapMode::Read, .., move |result| setter.set(result.is_ok()));
        let refused = |message: String| LaneError::Device { what: what.to_owned(), message };
        if !self.gpu.wait(what, &mapped).await? {
            return Err(self.gpu.blame(refused("the buffer could not be mapped".to_owned())).await);
        }
        let bytes =
            buffer.get_mapped_range(..).map(|view| view.to_vec()).map_err(|error| refused(error.to_string()));
        buffer.unmap();
        match bytes {
            Ok(bytes) if bytes.len() as u64 == buffer.size() => Ok(bytes),
            Ok(bytes) => Err(refused(format!("{} bytes came back, not {}", bytes.len(), buffer.size()))),
            Err(error) => Err(self.gpu.blame(error).await),
        }
    }

    /// Reads the whole output in pieces: `visit(offset, piece)`.
    ///
    /// # Errors
    /// [`mixer::MixerError::OutOfMemory`] for the staging buffer, [`LaneError::Device`], [`LaneError::DeviceLost`].
    pub async fn read(&self, visit: impl FnMut(usize, &[f32])) -> Result<(), LaneError> {
        self.read_buffer(&self.output, self.output_words, visit).await
    }

    /// The first `words` words of a buffer of the plan.
    pub(crate) async fn contents(&self, id: BufferId, words: usize) -> Result<Vec<f32>, LaneError> {
        let mut contents = Vec::with_capacity(words);
        if let Some(buffer) = self.buffers.get(id.0) {
            self.read_buffer(buffer, words, |_, piece| contents.extend_from_slice(piece)).await?;
        }
        Ok(contents)
    }

    async fn read_buffer(
        &self,
        source: &wgpu::Buffer,
        words: usize,
        mut visit: impl FnMut(usize, &[f32]),
    ) -> Result<(), LaneError> {
        self.gpu.alive()?;
        let total = 4 * words as u64;
        let mut offset = 0;
        while offset < total {
            let len = PIECE_BYTES.min(total - offset);
            let scopes = self.gpu.scopes("a read-back", self.device_bytes + len);
            let staging = buffer(
                &self.gpu,
                "read-back",
                len,
                wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            );
            let mut encoder =
                self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(source, offset, &staging, 0, len);
            self.gpu.queue().submit([encoder.finish()]);
            let scopes = scopes.close();
            let bytes = self.map(&staging, "a read-back").await;
            let caught = scopes.await;
            staging.destroy();
            caught?;
            let piece: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes?);
            let words = (len / 4) as usize;
            visit((offset / 4) as usize, piece.get(..words).unwrap_or(&piece));
            offset += len;
        }
        Ok(())
    }

    /// The whole output.
    ///
    /// # Errors
    /// As for [`GpuLane::read`].
    pub async fn output(&self) -> Result<Vec<f32>, LaneError> {
        let mut output = Vec::with_capacity(self.output_words);
        self.read(|_, piece| output.extend_from_slice(piece)).await?;
        Ok(output)
    }
}
