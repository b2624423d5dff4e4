//! When an instance that has answered a request may answer the next.

use wpaas_slug::{Isolation, Limits};

/// How long an instance is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// For one request.
    Never,
    /// Until it has answered `requests`, or its linear memory has more than `memory` bytes.
    UpTo { requests: u64, memory: usize },
}

impl Reuse {
    pub(crate) fn new(isolation: Isolation, limits: &Limits) -> Self {
        match isolation {
            Isolation::Request => Self::Never,
            Isolation::Instance => Self::UpTo {
                requests: limits.requests_per_instance,
                memory: Limits::size(limits.instance_recycle_memory_bytes),
            },
        }
    }

    /// Whether an instance that has answered `served` requests and uses `used` bytes of memory goes on.
    pub(crate) fn keeps(self, served: u64, used: usize) -> bool {
        match self {
            Self::Never => false,
            Self::UpTo { requests, memory } => served < requests && used <= memory,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_after_one_request_many_requests_or_much_memory() {
        let limits = Limits {
            requests_per_instance: 2,
            instance_recycle_memory_bytes: 10,
            ..Limits::default()
        };
        assert!(!Reuse::new(Isolation::Request, &limits).keeps(1, 0));
        let reuse = Reuse::new(Isolation::Instance, &limits);
        assert!(reuse.keeps(1, 10));
        assert!(!reuse.keeps(2, 10));
        assert!(!reuse.keeps(1, 11));
    }
}
