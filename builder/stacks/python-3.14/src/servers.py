"""Command lines of WSGI servers, read for what matters here."""

import argparse
import configparser
import os

from launch import Launch, Refused

# gunicorn's options, by whether they take a value. What they set of processes, threads and sockets is the platform's.
_GUNICORN_VALUED = """
    -b --bind --backlog -w --workers --threads --worker-connections --max-requests --max-requests-jitter
    -t --timeout --graceful-timeout --keep-alive --limit-request-line --limit-request-fields
    --limit-request-field_size --reload-engine --reload-extra-file --worker-tmp-dir -u --user -g --group -m --umask
    --forwarded-allow-ips --access-logformat --error-logfile --log-file --log-level --logger-class --log-config
    --log-config-json --log-syslog-to --log-syslog-prefix --log-syslog-facility --statsd-host --dogstatsd-tags
    --statsd-prefix -n --name -p --pid --keyfile --certfile --ca-certs --ciphers --ssl-version --cert-reqs
    --proxy-allow-from --paste --control-socket
""".split()
_GUNICORN_FLAGS = """
    --reload --spew --check-config --print-config --preload --no-sendfile --reuse-port -D --daemon --initgroups
    --disable-redirect-access-to-syslog --log-syslog -R --enable-stdio-inheritance --no-control-socket
    --suppress-ragged-eofs --do-handshake-on-connect --proxy-protocol --strip-header-spaces --capture-output
""".split()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise Refused(f"{self.prog}: {message}")


def _parser(name: str, valued: list[str], flags: list[str]) -> _Parser:
    parser = _Parser(prog=name, add_help=False, allow_abbrev=False)
    for option in valued:
        parser.add_argument(option, dest="ignored", action="append")
    for option in flags:
        parser.add_argument(option, dest="ignored", action="append_const", const="")
    return parser


def _workers(launch: Launch, *counts: object) -> Launch:
    if any(str(count) not in ("1", "None") for count in counts):
        launch.notes.append("workers and threads have no effect: requests get as many dynos as the scale allows")
    return launch


def _gunicorn(words: list[str]) -> Launch:
    words = [*os.environ.get("GUNICORN_CMD_ARGS", "").split(), *words]
    own = {"-w", "--workers", "--threads"}
    parser = _parser("gunicorn", [option for option in _GUNICORN_VALUED if option not in own], _GUNICORN_FLAGS)
    parser.add_argument("-w", "--workers")
    parser.add_argument("--threads")
    parser.add_argument("app", nargs="?")
    parser.add_argument("-k", "--worker-class", default="sync")
    parser.add_argument("-c", "--config", default="")
    parser.add_argument("--chdir", default="")
    parser.add_argument("--pythonpath", default="")
    parser.add_argument("-e", "--env", action="append", default=[])
    parser.add_argument("--access-logfile")
    options = parser.parse_args(words)
    config = options.config.removeprefix("file:")
    if config.startswith("python:"):
        raise Refused("gunicorn's settings can be in a file, not in a module")
    if config and not os.path.isfile(config):
        raise Refused(f"there is no file {config} in the source")
    if not config and os.path.isfile("gunicorn.conf.py"):
        config = "gunicorn.conf.py"
    if not options.app and not config:
        raise Refused("gunicorn is not told the app: `gunicorn MODULE:NAME`")
    environ = dict(pair.partition("=")[::2] for pair in options.env)
    if "uvicorn" in options.worker_class.lower():
        if not options.app:
            raise Refused("gunicorn is not told the app: `gunicorn -k uvicorn.workers.UvicornWorker MODULE:NAME`")
        arguments = [options.app, "--host", "0.0.0.0", "--port", os.environ.get("PORT", "8080")]
        if options.chdir:
            arguments += ["--app-dir", options.chdir]
        notes = ["uvicorn serves by itself, without gunicorn"]
        return Launch("module", "uvicorn", arguments, environ=environ, notes=notes)
    launch = Launch("wsgi", options.app or "", environ=environ, config=config, directory=options.chdir)
    launch.paths = [path for path in options.pythonpath.split(",") if path]
    launch.access_log = options.access_logfile == "-"
    if options.worker_class not in ("sync", "gthread"):
        launch.notes.append(f"the worker class {options.worker_class} has no effect: a dyno has one request at a time")
    return _workers(launch, options.workers, options.threads)


def _waitress(words: list[str]) -> Launch:
    valued = """
        --host --port --listen --url-scheme --url-prefix --connection-limit --channel-request-lookahead
        --trusted-proxy --trusted-proxy-count --trusted-proxy-headers --backlog --recv-bytes --send-bytes
        --outbuf-overflow --outbuf-high-watermark --inbuf-overflow --cleanup-interval --channel-timeout
        --max-request-header-size --max-request-body-size --ident --asyncore-loop-timeout --unix-socket
        --unix-socket-perms --sockets --server-name
    """.split()
    names = "ipv4 ipv6 expose-tracebacks asyncore-use-poll log-socket-errors log-untrusted-proxy-headers".split()
    names += ["clear-untrusted-proxy-headers"]
    parser = _parser("waitress-serve", valued, [f"--{no}{name}" for name in names for no in ("", "no-")])
    parser.add_argument("--threads")
    parser.add_argument("--call", action="store_true")
    parser.add_argument("--app")
    parser.add_argument("target", nargs="?")
    options = parser.parse_args(words)
    app = options.app or options.target
    if not app:
        raise Refused("waitress-serve is not told the app: `waitress-serve MODULE:NAME`")
    return _workers(Launch("wsgi", f"{app}()" if options.call and "(" not in app else app), options.threads)


def _uwsgi(words: list[str]) -> Launch:
    options: dict[str, str] = {}
    environ: dict[str, str] = {}
    file = next((word for word in words if word.endswith(".ini") and not word.startswith("-")), None)
    short = {"-w": "module", "-p": "processes", "-H": "home", "-s": "socket"}
    pairs: list[tuple[str, str]] = []
    for number, word in enumerate(words):
        following = words[number + 1] if number + 1 < len(words) else ""
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            pairs.append((name, value if equals else "" if following.startswith("-") else following))
        elif word in short:
            pairs.append((short[word], following))
    file = file or dict(pairs).get("ini")
    if file:
        if not os.path.isfile(file):
            raise Refused(f"there is no file {file} in the source")
        parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
        parser.read(file)
        if parser.has_section("uwsgi"):
            pairs = [(name, value or "") for name, value in parser.items("uwsgi")] + pairs
    for name, value in pairs:
        if name == "env":
            key, _, value = value.partition("=")
            environ[key] = value
        else:
            options[name] = value
    name = options.get("callable", "application")
    if module := options.get("module") or options.get("wsgi"):
        app = module if ":" in module else f"{module}:{name}"
    elif source := options.get("wsgi-file") or options.get("file"):
        directory, base = os.path.split(source.removesuffix(".py"))
        app = f"{base}:{name}"
        options.setdefault("pythonpath", directory)
    else:
        raise Refused("uwsgi is not told the app: `uwsgi --module MODULE:NAME`")
    launch = Launch("wsgi", app, environ=environ, directory=options.get("chdir", ""))
    launch.paths = [path for path in [options.get("pythonpath", "")] if path]
    return _workers(launch, options.get("processes"), options.get("workers"), options.get("threads"))


def _flask(words: list[str]) -> Launch | None:
    parser = _parser("flask", ["-h", "--host", "-p", "--port", "--cert", "--key", "--extra-files",
                               "--exclude-patterns", "-e", "--env-file"],
                     ["--debug", "--no-debug", "--reload", "--no-reload", "--debugger", "--no-debugger",
                      "--with-threads", "--without-threads"])
    parser.add_argument("-A", "--app")
    if "run" not in words:
        return None  # Another command of the app's own.
    before = words[: words.index("run")]
    options = parser.parse_args(before + words[len(before) + 1 :])
    launch = Launch("wsgi", "flask:" + (options.app or ""))
    return _workers(launch)


SERVERS = {
    "gunicorn": _gunicorn, "waitress-serve": _waitress, "waitress": _waitress, "uwsgi": _uwsgi, "flask": _flask,
}
