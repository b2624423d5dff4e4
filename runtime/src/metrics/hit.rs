//! The limits whose hits are counted.

use crate::hcode::HCode;

/// A limit that was reached. Its label is the name in the table of limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hit {
    /// R14 or R15.
    Memory,
    /// A guest held all the handles it may.
    Handles,
    /// H12.
    FirstByte,
    /// H15 and H28.
    Idle,
    /// H20.
    Boot,
    /// H11.
    Queue,
    /// A guest went on for too long after its response.
    AfterResponse,
    /// A request used up its CPU time.
    Cpu,
    /// A request was cut because its release had been replaced.
    Drain,
    /// A dyno had to wait for a place on this node.
    Places,
    /// A connection had to wait to be accepted.
    Connections,
}

impl Hit {
    pub(crate) const ALL: [Self; 11] = [
        Self::Memory,
        Self::Handles,
        Self::FirstByte,
        Self::Idle,
        Self::Boot,
        Self::Queue,
        Self::AfterResponse,
        Self::Cpu,
        Self::Drain,
        Self::Places,
        Self::Connections,
    ];

    /// The limit's name in the table.
    pub(crate) fn limit(self) -> &'static str {
        match self {
            Self::Memory => "dyno_memory_bytes",
            Self::Handles => "dyno_handles",
            Self::FirstByte => "first_byte_ms",
            Self::Idle => "idle_ms",
            Self::Boot => "boot_ms",
            Self::Queue => "queued_requests",
            Self::AfterResponse => "after_response_ms",
            Self::Cpu => "request_cpu_ms",
            Self::Drain => "drain_ms",
            Self::Places => "dynos_per_node",
            Self::Connections => "connections",
        }
    }

    /// The limit that a request with this code ran into.
    pub(super) fn of(code: HCode) -> Option<Self> {
        match code {
            HCode::H11 => Some(Self::Queue),
            HCode::H12 => Some(Self::FirstByte),
            HCode::H15 | HCode::H28 => Some(Self::Idle),
            HCode::H20 => Some(Self::Boot),
            _ => None,
        }
    }
}

/// Heroku's codes for a dyno's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quota {
    /// It was refused memory and went on.
    R14,
    /// It was refused memory and ended.
    R15,
}
