//! The one table of limits. Everything that can grow (a buffer, a queue, a table, a wait) is bounded by a
//! field here; the defaults are Heroku's where Heroku has one. Operators override single fields with
//! `WPAAS_LIMIT_<FIELD>` in the environment of `wpaas serve` ([`Limits::from_env`]).

use std::time::Duration;

/// Declares the table: one place for name, unit, default and reason of each limit.
macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident = $default:expr;)+) => {
        /// Every limit of the system; the unit is in the name.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Limits {
            /// Name, default and meaning of every limit, for documentation.
            pub const TABLE: &[(&str, u64, &str)] =
                &[$((stringify!($name), $default, concat!($($doc),+))),+];

            fn field(&mut self, name: &str) -> Option<&mut u64> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)+
                    _ => None,
                }
            }
        }
    };
}

limits! {
    // -- source and slug
    /// Compressed source upload.
    source_upload_bytes = 512 * MIB;
    /// Unpacked source tree (Heroku: checkout at most 1 GB).
    source_bytes = 1024 * MIB;
    /// Files in a source tree or a slug, and directories in a slug.
    source_files = 100_000;
    /// All blobs of a slug (Heroku: 500 MB).
    slug_bytes = 500 * MIB;
    /// A slug's manifest or config document.
    manifest_bytes = 32 * MIB;
    /// One Wasm component.
    component_bytes = 128 * MIB;
    /// Process types in a Procfile.
    process_types = 50;
    /// Programs that a slug names for one-off dynos.
    programs = 1_000;

    // -- builds
    /// A whole build (Heroku: 15 minutes).
    build_ms = 15 * 60_000;
    /// A stack's recipe or a toolchain's installation, once per machine.
    toolchain_ms = 30 * 60_000;
    /// Private memory that one process of a build can write to (`RLIMIT_DATA`; JavaScript engines reserve
    /// far more address space than they use).
    build_memory_bytes = 8 * 1024 * MIB;
    /// Output kept of one build.
    build_output_bytes = 8 * MIB;
    /// What is fetched of one buildpack, and what it holds when it is unpacked.
    buildpack_bytes = 256 * MIB;
    /// Fetching one buildpack.
    buildpack_fetch_ms = 5 * 60_000;
    /// Builds that run at the same time; further ones wait.
    concurrent_builds = 2;
    /// Builds of one app that wait their turn; further ones are refused.
    queued_builds_per_app = 20;
    /// Compiling one component to machine code, wall time.
    compile_ms = 180_000;
    /// Address space of the compiler's process.
    compile_memory_bytes = 8 * 1024 * MIB;
    /// Machine code of one component. It has three to four times the component's size.
    compiled_bytes = 1024 * MIB;
    /// Machine code that a node keeps in all; beyond this goes what was not used longest.
    code_bytes = 20 * 1024 * MIB;
    /// Days that machine code for another version of wpaas or another CPU is kept after its last use, for a
    /// process of that version that still runs, or a downgrade.
    code_keep_days = 14;

    /// A package.json that is read for the script of a one-off command.
    package_json_bytes = MIB;

    // -- git
    /// What one push may send; beyond it git refuses the pack.
    git_pack_bytes = 256 * MIB;
    /// An app's repository; beyond it pushes are refused.
    git_repository_bytes = 1024 * MIB;
    /// Branches and tags of a repository.
    git_refs = 1_000;
    /// Private memory that one process of git's can write to (`RLIMIT_DATA`).
    git_memory_bytes = 1024 * MIB;
    /// A push from its first byte to its last, the build included, or a fetch; then git is ended.
    git_request_ms = 60 * 60_000;
    /// What a fetch says that it has and wants.
    git_fetch_request_bytes = 4 * MIB;
    /// Pushes and fetches at the same time; further ones are refused.
    concurrent_git_requests = 32;

    // -- apps
    /// Names and values of all config vars together (Heroku: 64 KB).
    config_vars_bytes = 64 * KIB;
    /// Buildpacks of an app, and of a build.
    buildpacks_per_app = 10;
    /// Custom domains of an app (Heroku: 1,000).
    domains_per_app = 1_000;
    /// Apps on one platform.
    apps = 100_000;
    /// Dynos of one process type.
    dynos_per_process_type = 100;
    /// Connections of the Platform API's clients, git's among them; further ones wait.
    api_connections = 2_000;
    /// JSON body of an API request.
    api_body_bytes = MIB;
    /// Requests of one account in an hour, refilled steadily. Heroku allows 4,500; blob uploads and polls of
    /// builds come through the same API here, so there is room for those.
    api_requests_per_hour = 100_000;
    /// Tokens of one account that have not expired.
    tokens_per_account = 1_000;
    /// Wrong passwords in a row before an account has to wait for the next guess.
    login_free_guesses = 5;
    /// The longest that it has to wait: a second at first, twice as long after each wrong one.
    login_delay_ms = 60_000;
    /// Accounts whose wrong passwords are remembered; beyond it the one that guessed longest ago is forgotten.
    login_accounts_watched = 10_000;
    /// Passwords that are hashed at once; each takes 19 MiB.
    concurrent_logins = 2;
    /// Items in one page of a list (Heroku: 1,000).
    list_items = 1_000;
    /// Items in one page when the request does not say (Heroku: 200).
    list_items_default = 200;
    /// Uploaded sources kept on disk until their URLs expire; beyond this the oldest go first.
    sources_bytes = 4 * 1024 * MIB;
    /// Finished builds of one app whose rows and output are kept; older ones are removed.
    builds_per_app = 500;
    /// How long the URL of an uploaded source works.
    source_ttl_ms = 60 * 60_000;
    /// Blobs held in memory on their way to the store; further uploads wait.
    concurrent_blob_writes = 4;

    // -- dynos
    /// Linear memory of one dyno (Heroku: 512 MB), then R15.
    dyno_memory_bytes = 512 * MIB;
    /// Instances a node keeps at once over all apps.
    dynos_per_node = 1_000;
    /// Table elements of one dyno.
    dyno_table_elements = 1_000_000;
    /// Core instances inside one component instance.
    dyno_core_instances = 100;
    /// Host resource handles (bodies, streams, pollables, descriptors) one dyno may hold.
    dyno_handles = 10_000;
    /// Everything that a dyno has written to `/app` and `/tmp` and not removed, by the files' sizes.
    dyno_disk_bytes = 256 * MIB;
    /// Files, directories and names that a dyno may make or change; a new file counts as two, a long symlink
    /// as several.
    dyno_files = 40_000;
    /// Files of the host that a dyno keeps open, however many it has open itself.
    dyno_host_files = 8;
    /// What a dyno may have handed over for writing to files without waiting for it.
    dyno_write_buffer_bytes = MIB;
    /// A path in a dyno, or the target of a symlink (Linux: 4,096).
    path_bytes = 4_096;
    /// Epoch tick: how often a running guest can be interrupted.
    epoch_tick_ms = 10;
    /// Time for a web process to listen on `$PORT` (Heroku: 60 s), then R10.
    boot_ms = 60_000;
    /// Requests served by one instance before it is replaced. The JS engine grows by some 9 KB a request
    /// that it does not give back, so this bounds it to tens of megabytes.
    requests_per_instance = 2_000;
    /// Requests that one instance works on at the same time where its world allows it and its process type does not
    /// say (`concurrency` in wpaas.toml).
    requests_at_once = 50;
    /// The most that a process type may say.
    requests_at_once_max = 1_000;
    /// A guest that serves many requests at once may compute this long without a pause, which holds all of them up.
    /// Beyond it the instance gets no new requests, and when the request that it computes for is late, it is ended.
    shared_compute_ms = 1_000;
    /// An instance without a request for this long is dropped.
    instance_idle_ms = 60_000;
    /// Requests and upgraded connections that one dyno has at the same time when it listens on `$PORT`, unless its
    /// process type's `concurrency` says otherwise; beyond this another dyno is started.
    dyno_requests = 1_000;
    /// Connections that the router keeps to a dyno that listens on `$PORT`, for further requests.
    dyno_kept_connections = 32;
    /// Time for such a dyno to take a connection when its backlog is full (Heroku: 5 s), then H19.
    dyno_connect_ms = 5_000;
    /// An upgraded connection of a dyno that has to go is ended when nothing has moved on it for this long.
    upgrade_quiet_ms = 1_000;
    /// How long a request that expects `100 Continue` waits for the dyno to say so; then its body is sent.
    expect_continue_ms = 1_000;
    /// Requests that wait for a dyno of one process type, then H11.
    queued_requests = 1_000;
    /// A guest may go on this long after its response was sent.
    after_response_ms = 30_000;
    /// CPU time that one request may take, its response and what follows included. As Cloudflare Workers allow at most.
    request_cpu_ms = 300_000;
    /// Time for requests in flight, and for processes whose standard input was closed, to finish when their release
    /// is replaced or the node stops (Heroku: 30 s); then R12 for processes.
    drain_ms = 30_000;
    /// Linear memory beyond which an instance is replaced after its request. Memory only ever grows, so this is
    /// what an instance keeps from its hungriest request while it waits for the next; three quarters of
    /// `dyno_memory_bytes` replaces it before requests begin to fail with R14.
    instance_recycle_memory_bytes = 384 * MIB;
    /// Bytes between a command and whoever reads its output; then it waits.
    guest_pipe_bytes = 64 * KIB;
    /// A one-off dyno (Heroku: 24 hours), then it is stopped.
    one_off_ms = 24 * 60 * 60_000;
    /// One-off dynos of one app that run at the same time (Heroku: 50); further ones are refused.
    one_offs_per_app = 50;
    /// One-off dynos of all apps that run at the same time; further ones are refused.
    one_offs_per_node = 500;
    /// The words of a one-off dyno's command, and the variables that come with it.
    one_off_command_bytes = 64 * KIB;
    /// What is typed at the terminal of a one-off dyno before its line ends (Linux: 4,096).
    terminal_line_bytes = 4_096;
    /// A release phase (Heroku: 1 hour), then it has failed.
    release_phase_ms = 60 * 60_000;
    /// Output kept of one release phase.
    release_output_bytes = 8 * MIB;
    /// Release phases of one app whose output is kept; older outputs are removed.
    release_outputs_per_app = 500;
    /// Time to attach to a one-off dyno (Heroku: 60 s), then R13.
    attach_ms = 60_000;
    /// Attachments that were asked for and wait for their client; further ones are refused.
    attach_waiting = 1_000;
    /// Connections to the rendezvous, those that have not yet said what they want included; further ones are closed.
    attach_connections = 1_000;
    /// Time for such a connection's TLS handshake and its first line.
    attach_hello_ms = 10_000;
    /// Bytes between an attached client and its one-off dyno, either way; then the sender waits.
    attach_buffer_bytes = 64 * KIB;
    /// Rest before a process that crashed twice in a row is started again; it doubles with each further crash.
    crash_rest_ms = 1_000;
    /// The longest rest between two starts; a process that ran for as long is no longer counted as crashing.
    crash_rest_max_ms = 10 * 60_000;

    // -- router
    /// First byte of the response (Heroku: 30 s), then H12.
    first_byte_ms = 30_000;
    /// Between two bytes of a body, either way (Heroku: 55 s), then H15.
    idle_ms = 55_000;
    /// A request's whole header section.
    request_header_bytes = 64 * KIB;
    /// Header fields of a request.
    request_headers = 200;
    /// Time to send a request's header section.
    request_header_ms = 30_000;
    /// The header section of a CGI program's response, then H17.
    response_header_bytes = 64 * KIB;
    /// Header fields of a CGI program's response, then H17.
    response_headers = 200;
    /// Client connections of one node.
    connections = 20_000;
    /// A connection on which nothing happens is ended. (The next head of HTTP/1.1 is due in
    /// `request_header_ms`.)
    connection_idle_ms = 60_000;
    /// A TLS handshake, and waiting for its turn.
    tls_handshake_ms = 10_000;
    /// TLS handshakes at the same time over all connections; further ones wait.
    tls_handshakes = 1_000;
    /// One chunk between guest and client.
    body_chunk_bytes = MIB;
    /// Streams of one HTTP/2 connection.
    h2_streams = 250;

    // -- network of a dyno
    /// Sockets one dyno may have open; they live inside the host process and are no file descriptors.
    dyno_sockets = 1_024;
    /// Outgoing connections of one dyno, those that are being made included. Each is a file descriptor.
    dyno_connections = 256;
    /// Outgoing connections of all dynos of a node.
    node_connections = 8_192;
    /// Names one dyno looks up at the same time. A lookup counts until it has ended, also when nobody waits
    /// for it any more.
    dyno_lookups = 16;
    /// Different names one dyno may ask for in its life.
    dyno_names = 1_024;
    /// What one direction of a socket buffers before its writer has to wait.
    socket_window_bytes = 128 * KIB;
    /// What all sockets of one dyno buffer together; beyond this each has a window of 8 KiB.
    dyno_socket_bytes = 16 * MIB;
    /// Connections that wait to be accepted on one listening socket.
    socket_backlog = 128;
    /// Egress rules of one release.
    egress_rules = 1_000;
    /// Egress rules of one release as JSON, their certificates included.
    egress_rules_bytes = 64 * KIB;
    /// Addresses of one name that a connection attempt tries.
    egress_addresses = 8;
    /// Time to make an outgoing connection: name, TCP and TLS together.
    egress_connect_ms = 30_000;
    /// First byte of the response to an outgoing HTTP request.
    egress_first_byte_ms = 10 * 60_000;
    /// Between two bytes of the response to an outgoing HTTP request.
    egress_idle_ms = 10 * 60_000;
    /// Header section of the response to an outgoing HTTP request.
    egress_header_bytes = 64 * KIB;
    /// Time to deliver what a dyno wrote before it closed an outgoing connection.
    egress_linger_ms = 30_000;
    /// Requests and connections to other apps of its owner that one app has under way.
    internal_requests = 1_000;
    /// Lines about refused connections that one dyno logs in one period; further ones are counted.
    denied_lines = 10;
    /// That period.
    denied_period_ms = 10_000;

    // -- commands
    /// Time for the platform's API to accept a command's connection.
    client_connect_ms = 5_000;
    /// Time for the API to answer a command; a change is answered when it is live, which can take a compile.
    client_response_ms = 5 * 60_000;
    /// One answer of the API.
    client_response_bytes = 32 * MIB;
    /// Pages of a list that a command fetches.
    client_pages = 1_000;
    /// Blobs that `deploy --local` uploads at the same time.
    client_uploads = 4;
    /// Requests of the heroku command that `wpaas heroku` passes on at the same time; further ones wait.
    client_forwards = 64;

    // -- logs
    /// One log line (Heroku: 10,000 bytes); longer ones are cut into several.
    log_line_bytes = 10_000;
    /// Lines kept per app (Heroku: 1,500).
    log_history_lines = 1_500;
    /// Lines between the request path and logplex; further ones are dropped and counted (L10).
    log_queue_lines = 10_000;
    /// Lines buffered for one reader of a tail; a slower reader loses lines (L11).
    log_tail_lines = 1_024;
    /// A tail whose reader takes nothing for this long is ended (L11).
    log_stall_ms = 30_000;
    /// Readers of tails at the same time.
    log_tails = 1_000;
    /// History of all apps together; the app that was silent longest loses its history first.
    log_history_bytes = 256 * MIB;
    /// Log sessions that were opened and have not expired.
    log_sessions = 10_000;
    /// How long the URL of a log session can be opened (Heroku: 5 minutes).
    log_session_ttl_ms = 5 * 60_000;
    /// Silence after which a tail sends a comment, so that proxies keep the connection.
    log_keepalive_ms = 15_000;
    /// Log drains of an app (Heroku: 5).
    drains_per_app = 5;
    /// Log drains of all apps; each has a buffer.
    drains = 1_000;
    /// A drain's URL.
    drain_url_bytes = 2_048;
    /// Lines that wait for one drain; beyond this the oldest are dropped and counted (L10).
    drain_buffer_lines = 10_000;
    /// Their text; beyond this the oldest are dropped and counted (L10).
    drain_buffer_bytes = MIB;
    /// Lines sent to a drain at once, and in one request to an HTTPS drain.
    drain_batch_lines = 500;
    /// Their text.
    drain_batch_bytes = 256 * KIB;
    /// How long a line waits for others that go in the same request to an HTTPS drain.
    drain_gather_ms = 500;
    /// Sending to a drain, the answer included.
    drain_send_ms = 30_000;
    /// Rest before a failed drain is tried again; it doubles with each further failure.
    drain_rest_ms = 500;
    /// The longest rest.
    drain_rest_max_ms = 30_000;
    /// The body of the answer of an HTTPS drain or a webhook; beyond it the connection is given up.
    outgoing_answer_bytes = 64 * KIB;
    /// Time for what drains have not sent yet when the server stops.
    drain_flush_ms = 5_000;
    /// Webhooks of an app (Heroku: 10).
    webhooks_per_app = 10;
    /// A webhook's URL, its secret, or its `Authorization` header.
    webhook_field_bytes = 2_048;
    /// Events of one app that are kept for its webhooks, with their deliveries; older ones are removed, delivered or
    /// not.
    webhook_events_per_app = 1_000;
    /// What an event says of the thing that it is about; beyond it only the thing's id is sent.
    webhook_data_bytes = 256 * KIB;
    /// Deliveries to webhooks under way at the same time, one for each webhook at most; further ones wait.
    webhook_sends = 32;
    /// One delivery, the answer included.
    webhook_send_ms = 30_000;
    /// Attempts to deliver to a webhook of level `sync`.
    webhook_attempts = 10;
    /// Rest before a failed delivery is tried again; it doubles with each further failure.
    webhook_rest_ms = 20_000;
    /// The longest rest.
    webhook_rest_max_ms = 2 * 60 * 60_000;

    // -- metrics and traces
    /// Apps with metrics of their own, first come first served; further ones are counted together. An app takes
    /// some 3 KB of a scrape.
    metrics_apps = 1_000;
    /// Scrapes answered at the same time; further ones get 503.
    metrics_scrapes = 4;
    /// Spans that wait to be exported; further ones are dropped.
    trace_queue_spans = 4_096;
    /// Spans exported in one request.
    trace_batch_spans = 512;
    /// How long a span waits at most until its batch is exported.
    trace_delay_ms = 5_000;
    /// One export, with its retries; then its spans are dropped.
    trace_export_ms = 10_000;
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// A `WPAAS_LIMIT_…` variable that names no limit or has no number.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// The name after the prefix is not a limit.
    #[error("{0} names no limit; see the table of limits in docs/limits.md")]
    Unknown(String),
    /// The value is not a whole number.
    #[error("{0}={1:?} is not a whole number (the unit is in the name)")]
    NotANumber(String, String),
}

impl Limits {
    /// The defaults with every `WPAAS_LIMIT_<FIELD>` of `vars` applied.
    pub fn from_env(vars: impl IntoIterator<Item = (String, String)>) -> Result<Self, EnvError> {
        let mut limits = Self::default();
        for (key, value) in vars {
            let Some(name) = key.strip_prefix("WPAAS_LIMIT_") else { continue };
            let Some(field) = limits.field(&name.to_ascii_lowercase()) else {
                return Err(EnvError::Unknown(key));
            };
            *field = value.parse().map_err(|_| EnvError::NotANumber(key, value))?;
        }
        Ok(limits)
    }

    /// A limit in milliseconds as a duration: `Limits::ms(limits.boot_ms)`.
    pub const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// A limit in bytes or items as a `usize`.
    pub fn size(limit: u64) -> usize {
        usize::try_from(limit).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod attacked;

#[cfg(test)]
mod tests {
    use super::*;

    /// Rewrites docs/limits.md with `UPDATE_DOCS=1 cargo test -p wpaas-slug limits`.
    #[test]
    fn the_documentation_lists_every_limit() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/limits.md");
        let mut page = String::from(
            "# Limits\n\n\
             Everything that can grow is bounded. The unit is in the name. An operator overrides a limit with\n\
             `WPAAS_LIMIT_<NAME>` in the environment of `wpaas serve` or `wpaas dev`, for example\n\
             `WPAAS_LIMIT_BOOT_MS=30000`. This page is written by a test from `slug/src/limits.rs`.\n\n\
             | limit | default | meaning |\n|---|---|---|\n",
        );
        for (name, default, meaning) in Limits::TABLE {
            page.push_str(&format!("| `{name}` | {default} | {} |\n", meaning.trim()));
        }
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), page, "run it with UPDATE_DOCS=1");
    }

    #[test]
    fn environment_overrides_single_fields() {
        let vars =
            [("WPAAS_LIMIT_BOOT_MS".to_owned(), "250".to_owned()), ("HOME".into(), "x".into())];
        let limits = Limits::from_env(vars).unwrap();
        assert_eq!(limits, Limits { boot_ms: 250, ..Limits::default() });
        for (key, value) in [("WPAAS_LIMIT_NOPE", "1"), ("WPAAS_LIMIT_BOOT_MS", "soon")] {
            assert!(Limits::from_env([(key.to_owned(), value.to_owned())]).is_err());
        }
    }
}
