//! Addresses for names, in the dyno's own network only. The guest connects to such an address and the host
//! knows which name was meant, so that rules and TLS see the name, and the name is looked up when the
//! connection is made.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

/// The dyno's own address, and the first of the network for benchmarks (198.18.0.0/15), which is used
/// nowhere else.
pub(crate) const OWN: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// Of the first name; the ones before are for the dyno itself.
const FIRST: u32 = u32::from_be_bytes([198, 18, 1, 0]);
/// Up to 198.19.255.255.
const MOST: usize = 2 * 65536 - 256;

/// The names that one dyno asked for.
pub(super) struct Names {
    limit: usize,
    known: Vec<Arc<str>>,
    by_name: HashMap<Arc<str>, Ipv4Addr>,
}

impl Names {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.min(MOST), known: Vec::new(), by_name: HashMap::new() }
    }

    /// The address that stands for `name`, for as long as the dyno lives. None when it knows too many.
    pub(super) fn address(&mut self, name: &Arc<str>) -> Option<Ipv4Addr> {
        if let Some(address) = self.by_name.get(name) {
            return Some(*address);
        }
        if self.known.len() >= self.limit {
            return None;
        }
        let address = Ipv4Addr::from(FIRST + u32::try_from(self.known.len()).ok()?);
        self.known.push(Arc::clone(name));
        self.by_name.insert(Arc::clone(name), address);
        Some(address)
    }

    /// The name that `address` stands for.
    pub(super) fn name(&self, address: IpAddr) -> Option<Arc<str>> {
        let IpAddr::V4(v4) = address else { return None };
        let number = u32::from(v4).checked_sub(FIRST)?;
        self.known.get(usize::try_from(number).ok()?).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_an_address_of_its_own_up_to_the_limit() {
        let mut names = Names::new(300);
        let name = |number: usize| Arc::<str>::from(format!("n{number}.example"));
        let addresses: Vec<_> = (0..300).map(|n| names.address(&name(n)).unwrap()).collect();
        assert_eq!(addresses[0], Ipv4Addr::new(198, 18, 1, 0));
        assert_eq!(addresses[299], Ipv4Addr::new(198, 18, 2, 43));
        assert_eq!(names.address(&name(300)), None);
        for (number, address) in addresses.iter().enumerate() {
            assert_eq!(names.name((*address).into()), Some(name(number)));
            assert_eq!(names.address(&name(number)), Some(*address));
        }
        for other in ["198.18.0.1", "198.18.2.44", "8.8.8.8", "::1"] {
            assert_eq!(names.name(other.parse().unwrap()), None, "{other}");
        }
    }
}
