// The transition of a complex mode; complex.wgsl is prepended.

// Whether the input is part of it.
override LIQUID: u32 = 1u;

// Ā + B̄x, or Ā, where b is B̄x.
fn transition(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    return select(a, a + b, LIQUID == 1u);
}
