//! Memory of processes that run dynos.

/// Keeps the kernel from using huge pages for this process and what it starts. Where they are on for every
/// process, the first touch of a fresh dyno's memory would clear 2 MiB for the few KiB that it needs; where they
/// are on by request, the allocator must not ask either (its feature `no_thp`). Measured with it asking: one
/// cold request in twelve took 5 ms longer than the others, and 10,000 apps 25 MiB more.
pub(crate) fn small_pages_only() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::warn!(%error, "huge pages stay on: starting dynos may take longer and more memory");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_pages_are_off() {
        small_pages_only();
        assert!(rustix::thread::transparent_huge_pages_are_disabled().unwrap());
    }
}
