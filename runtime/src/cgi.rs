//! CGI (RFC 3875): a component that exports `wasi:cli/run` answers one request per run. The request comes as
//! environment and standard input, the response goes to standard output, standard error to the app's log.
//!
//! Each run has an instance of its own, so requests share nothing but `/app`.

mod output;
mod request;
mod response;
mod serve;

use output::Output;
pub(crate) use request::is_reserved;
use response::Malformed;
pub(crate) use serve::serve;
