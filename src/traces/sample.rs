//! Which traces are recorded: decisions, from what is known when a span begins.

/// Which traces are recorded, decided where they begin. A span below another one of this process
/// always goes with it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Sampler {
    /// All of them.
    #[default]
    Always,
    /// None.
    Never,
    /// This share of them, 0 to 1, by the trace id: two services with the same share keep the same
    /// traces.
    Ratio(f64),
}

impl Sampler {
    /// What the last seven bytes of a trace id must reach, as OpenTelemetry's consistent sampling
    /// has it: 0 takes all, 2^56 none.
    pub(crate) fn threshold(&self) -> u64 {
        const ALL: f64 = (1u64 << 56) as f64;
        match self {
            Sampler::Always => 0,
            Sampler::Never => 1 << 56,
            // A share that is no number takes nothing.
            Sampler::Ratio(share) if share.is_nan() => 1 << 56,
            Sampler::Ratio(share) => ((1.0 - share.clamp(0.0, 1.0)) * ALL) as u64,
        }
    }
}

/// The part of a trace id that is random by W3C's word.
#[inline(always)]
pub(crate) fn randomness(trace: [u8; 16]) -> u64 {
    u128::from_be_bytes(trace) as u64 & ((1 << 56) - 1)
}
