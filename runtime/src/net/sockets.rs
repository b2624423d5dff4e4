//! `wasi:sockets` on the dyno's virtual network, by wasmtime-wasi's own generated traits.
//!
//! Its resource types cannot be made from outside, and need not be: a resource is a number and a type that
//! exists only for the compiler, and the table checks the real type of what the number leads to. So our
//! sockets are in the table, and go to the guest under the names of wasmtime-wasi's.

mod lookup;
mod options;
mod socket;
mod streams;
mod tcp;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::{
    SocketError,
    bindings::sockets::{
        self,
        network::{self, ErrorCode, Network},
    },
};

use super::Net;
use crate::dyno::DynoState;

/// What the host functions work on.
pub(super) struct View<'a> {
    net: &'a Net,
    table: &'a mut ResourceTable,
}

struct HasView;

impl HasData for HasView {
    type Data<'a> = View<'a>;
}

/// Puts the virtual network into the place of wasmtime-wasi's; shadowing must be allowed.
pub(crate) fn add_to_linker(linker: &mut Linker<DynoState>) -> wasmtime::Result<()> {
    fn view(state: &mut DynoState) -> View<'_> {
        let (net, table) = state.net();
        View { net, table }
    }
    // Engines of languages import the whole interface, this function with it.
    let mut whole = network::LinkOptions::default();
    whole.network_error_code(true);
    network::add_to_linker::<DynoState, HasView>(linker, &whole, view)?;
    sockets::tcp::add_to_linker::<DynoState, HasView>(linker, view)?;
    sockets::tcp_create_socket::add_to_linker::<DynoState, HasView>(linker, view)?;
    sockets::ip_name_lookup::add_to_linker::<DynoState, HasView>(linker, view)
}

/// The other interfaces' errors are turned into WASI's by this one.
impl network::Host for View<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        let error = self.table.get(&error)?;
        Ok(error.downcast_ref::<std::io::Error>().map(ErrorCode::from))
    }
}

impl network::HostNetwork for View<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}

/// A resource of ours behind a handle of theirs.
fn ours<Theirs: 'static, Ours: 'static>(theirs: &Resource<Theirs>) -> Resource<Ours> {
    if theirs.owned() {
        Resource::new_own(theirs.rep())
    } else {
        Resource::new_borrow(theirs.rep())
    }
}

/// A handle of theirs for a resource of ours.
fn theirs<Ours: 'static, Theirs: 'static>(ours: Resource<Ours>) -> Resource<Theirs> {
    Resource::new_own(ours.rep())
}
