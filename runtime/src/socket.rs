//! Socket dynos: a web process that is a command (`wasi:cli/run`) and listens on `$PORT`, as on Heroku.
//!
//! The command runs as a task of its own for as long as the dyno lives ([`dyno`]), on the dyno's virtual network. It
//! has booted when it listens. The router then opens connections to it inside this process and speaks HTTP with it
//! as any proxy does ([`links`], [`serve`]); after a 101 the two connections are joined ([`tunnel`]).
//!
//! One dyno serves many requests at once, as many as its process type's `concurrency`. Time on a CPU is measured
//! where the command is polled and is the dyno's; a request's share of it is the dyno's time while the request was
//! there, divided by how many there were at each moment ([`accounts`]).

mod accounts;
mod body;
mod dyno;
mod expect;
mod formation;
mod frames;
mod grpc;
mod links;
mod replay;
mod serve;
mod tunnel;

pub(crate) use accounts::Share;
pub(crate) use formation::Sockets;
#[cfg(fuzzing)]
pub(crate) use frames::Frames;
pub(crate) use tunnel::Tunnel;
