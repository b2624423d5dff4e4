//! Addresses that a name or `*` never opens: those of the node, of its neighbours and of nobody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A network and what it is, for the app's log: `a private address`.
type Special<Net> = (Net, &'static str);

const LOOPBACK: &str = "a loopback address";
const UNSPECIFIED: &str = "an unspecified address";
const PRIVATE: &str = "a private address";
const LINK_LOCAL: &str = "a link-local address";
const METADATA: &str = "a cloud metadata address";
const MULTICAST: &str = "a multicast address";
const DOCUMENTATION: &str = "a documentation address";
const RESERVED: &str = "a reserved address";

/// Of two that match, the first one names the address.
const SPECIAL_V4: &[Special<Ipv4Net>] = &[
    (v4([169, 254, 169, 254], 32), METADATA),
    (v4([169, 254, 170, 2], 32), METADATA),
    // Azure's, which looks public.
    (v4([168, 63, 129, 16], 32), METADATA),
    (v4([100, 100, 100, 200], 32), METADATA),
    (v4([0, 0, 0, 0], 8), UNSPECIFIED),
    (v4([10, 0, 0, 0], 8), PRIVATE),
    (v4([100, 64, 0, 0], 10), "a carrier's private address"),
    (v4([127, 0, 0, 0], 8), LOOPBACK),
    (v4([169, 254, 0, 0], 16), LINK_LOCAL),
    (v4([172, 16, 0, 0], 12), PRIVATE),
    (v4([192, 0, 0, 0], 24), RESERVED),
    (v4([192, 0, 2, 0], 24), DOCUMENTATION),
    (v4([192, 88, 99, 0], 24), RESERVED),
    (v4([192, 168, 0, 0], 16), PRIVATE),
    (v4([198, 18, 0, 0], 15), "a benchmark address"),
    (v4([198, 51, 100, 0], 24), DOCUMENTATION),
    (v4([203, 0, 113, 0], 24), DOCUMENTATION),
    (v4([224, 0, 0, 0], 4), MULTICAST),
    (v4([255, 255, 255, 255], 32), "the broadcast address"),
    (v4([240, 0, 0, 0], 4), RESERVED),
];

const SPECIAL_V6: &[Special<Ipv6Net>] = &[
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), METADATA),
    (v6([0; 8], 128), UNSPECIFIED),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), LOOPBACK),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), PRIVATE),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), LINK_LOCAL),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), PRIVATE),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), MULTICAST),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), DOCUMENTATION),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), DOCUMENTATION),
    // Teredo, benchmarks, ORCHID: nothing that a server has.
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), RESERVED),
];

/// What is given out to hosts of the internet so far. The rest, such as `::1.2.3.4`, is for special uses.
const GLOBAL_UNICAST_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16);

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// What makes `address` something else than a host of the internet, if anything does.
pub(super) fn special(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(v4) => special_v4(v4),
        IpAddr::V6(v6) => special_v6(v6),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    SPECIAL_V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, what)| *what)
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    if let Some((_, what)) = SPECIAL_V6.iter().find(|(net, _)| net.contains(&address)) {
        return Some(what);
    }
    let [.., a, b, c, d] = address.octets();
    if NAT64.contains(&address) {
        return special_v4(Ipv4Addr::new(a, b, c, d));
    }
    if SIX_TO_FOUR.contains(&address) {
        let [_, _, a, b, c, d, ..] = address.octets();
        return special_v4(Ipv4Addr::new(a, b, c, d));
    }
    (!GLOBAL_UNICAST_V6.contains(&address)).then_some(RESERVED)
}

/// The addresses of `localhost`.
pub(super) const LOCALHOST: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Whether some address of `network` is special, as far as that is known without going through them: every network
/// of translated v4 addresses counts.
pub(super) fn holds_special(network: IpNet) -> bool {
    match network {
        IpNet::V4(_) => SPECIAL_V4.iter().any(|(net, _)| overlap((*net).into(), network)),
        IpNet::V6(v6) => {
            let special = SPECIAL_V6.iter().map(|(net, _)| *net).chain([NAT64, SIX_TO_FOUR]);
            special.into_iter().any(|net| overlap(net.into(), network))
                || !GLOBAL_UNICAST_V6.contains(&v6)
        }
    }
}

/// Whether two networks have an address in common, so that one holds the other.
fn overlap(one: IpNet, other: IpNet) -> bool {
    one.contains(&other) || other.contains(&one)
}

/// Whether `address` is one of this machine's own, as its routes are now: what is sent to such an address
/// comes from it too. No packet is sent to find out.
pub(super) fn is_own(address: IpAddr) -> bool {
    let any = match address {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let source = || {
        let socket = std::net::UdpSocket::bind((any, 0))?;
        // Any port will do, and this one is not 0.
        socket.connect((address, 9))?;
        socket.local_addr()
    };
    // Without a route a connection comes to nothing as well.
    source().is_ok_and(|source| source.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_an_inner_address_passes_for_a_public_one() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.1.1",
            "169.254.169.254",
            "169.254.170.2",
            "168.63.129.16",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "::8.8.8.8",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2002:c0a8:101::5",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "fc00::1",
            "fd00:ec2::254",
            "fdff::9",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
            "5f00::1",
        ] {
            assert!(special(address.parse().unwrap()).is_some(), "{address}");
        }
        assert_eq!(special("169.254.169.254".parse().unwrap()), Some(METADATA));
        assert_eq!(special("fd00:ec2::254".parse().unwrap()), Some(METADATA));
    }

    #[test]
    fn public_addresses_are_nothing_special() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2606:4700::1111",
            "2a00:1450:4001:80b::200e",
            "2001:4860:4860::8888",
        ] {
            assert_eq!(special(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn networks_with_inner_addresses_are_known() {
        for network in [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.1.2.0/24",
            "8.0.0.0/6",
            "168.63.0.0/16",
            "::/0",
            "2000::/3",
            "2002::/16",
            "64:ff9b::/96",
            "fc00::/8",
            "1000::/4",
        ] {
            assert!(holds_special(network.parse().unwrap()), "{network}");
        }
        for network in ["8.8.8.0/24", "1.1.1.1/32", "2a00:1450::/32", "2606:4700::/32"] {
            assert!(!holds_special(network.parse().unwrap()), "{network}");
        }
    }

    #[test]
    fn the_machine_knows_its_own_addresses() {
        assert!(is_own(Ipv4Addr::LOCALHOST.into()));
        assert!(!is_own("192.0.2.1".parse().unwrap()));
    }
}
