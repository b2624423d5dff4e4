"""From a Procfile's command, as words, to what runs.

There is no shell and no other program than Python: `python …` and the packages' own programs run as they are. Servers of
WSGI apps (gunicorn, waitress, uWSGI, `flask run`) take processes or threads, so they are read for their app and
options, and `wsgi_server` serves it (`servers.py`).
"""

import os
import re
import sys
from dataclasses import dataclass, field

# Where a build puts the programs of packages.
PROGRAMS = "/app/.heroku/python/bin"
# What other languages' habits put in front of a command, which it does without.
_FRONTS = (
    ["exec"], ["pipenv", "run"], ["poetry", "run"], ["uv", "run"], ["newrelic-admin", "run-program"],
    ["opentelemetry-instrument"], ["ddtrace-run"],
)
# Flags of `python` that change nothing here, and those of them that take a value.
_FLAGS = {"-u", "-B", "-O", "-OO", "-s", "-S", "-E", "-I", "-P", "-q", "-v", "-b", "-d"}
_VALUED_FLAGS = {"-W", "-X"}
_PYTHON = re.compile(r"(?:.*/)?python(?:3(?:\.\d+)?)?")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::?-([^{}]*))?\})")


class Refused(Exception):
    """What cannot run here, and what can."""


@dataclass
class Launch:
    """What a command runs."""

    # "module", "code", "file", "interactive" or "wsgi".
    kind: str
    # The module, the code or the file; of "wsgi" the app, `module:name`.
    target: str = ""
    # What the program has in `sys.argv` after its own name.
    args: list[str] = field(default_factory=list)
    # Variables that the command sets.
    environ: dict[str, str] = field(default_factory=dict)
    # What of the command makes no difference here.
    notes: list[str] = field(default_factory=list)
    # Of "wsgi": where the app's modules are, beside `/app`.
    paths: list[str] = field(default_factory=list)
    # Of "wsgi": the directory to serve from.
    directory: str = ""
    # Of "wsgi": the file that gunicorn would read.
    config: str = ""
    # Of "wsgi": whether requests are written to standard output.
    access_log: bool = False


def expand(words: list[str]) -> list[str]:
    """The words with `$NAME`, `${NAME}` and `${NAME:-DEFAULT}` filled in from the environment.

    Those of a one-off dyno are as they are to be: the platform filled them in when it split them.
    """
    if os.environ.get("DYNO", "").startswith("run."):
        return words

    def value(match: re.Match) -> str:
        return os.environ.get(match[1] or match[2]) or match[3] or ""

    return [_VARIABLE.sub(value, word) for word in words]


def resolve(words: list[str]) -> Launch:
    """Raises `Refused` for what cannot run."""
    import servers

    environ: dict[str, str] = {}
    notes: list[str] = []
    words = list(words)
    while words:
        if words[0] == "env" or (match := _ASSIGNMENT.fullmatch(words[0])):
            if words[0] != "env":
                environ[match[1]] = match[2]
            words = words[1:]
            continue
        front = next((front for front in _FRONTS if words[: len(front)] == front), None)
        if front is None:
            break
        words = words[len(front) :]
        if front not in (["exec"], *_FRONTS[1:4]):
            notes.append(f"{front[0]} has no effect here")
    if not words:
        raise Refused("it names no program")
    launch = _python(words[1:]) if _PYTHON.fullmatch(words[0]) else None
    if launch is None or launch.kind == "module":
        name = os.path.basename(words[0]) if launch is None else launch.target
        arguments = words[1:] if launch is None else launch.args
        server = servers.SERVERS.get(name)
        launch = (server(arguments) if server else None) or launch or _program(words)
    launch.environ = environ | launch.environ
    launch.notes = notes + launch.notes
    return launch


def _python(words: list[str]) -> Launch:
    words = list(words)
    while words:
        if words[0] in _FLAGS or words[0][:2] in _VALUED_FLAGS and len(words[0]) > 2:
            words = words[1:]
        elif words[0] in _VALUED_FLAGS:
            words = words[2:]
        else:
            break
    match words:
        case ["-m", module, *rest]:
            return Launch("module", module, rest)
        case ["-c", code, *rest]:
            return Launch("code", code, rest)
        case [] | ["-", *_]:
            return Launch("interactive", args=words[1:])
        case [file, *rest] if not file.startswith("-"):
            if os.path.basename(file) == "manage.py" and rest[:1] == ["runserver"]:
                # Django's own server reloads with a process and serves with threads.
                rest = [*rest, *({"--noreload", "--nothreading"} - set(rest))]
            return Launch("file", file, rest)
        case [flag, *_]:
            raise Refused(f"python's flag {flag} is not supported here")


def _program(words: list[str]) -> Launch:
    """A program of the app or of a package."""
    name = words[0]
    for file in (name, os.path.join(PROGRAMS, name)) if "/" in name else (os.path.join(PROGRAMS, name),):
        if os.path.isfile(file):
            with open(file, "rb") as opened:
                if b"python" not in opened.readline() and not file.endswith(".py"):
                    raise Refused(f"{name} is not a Python program, and only those run here")
            return Launch("file", file, words[1:])
    known = ", ".join(sorted(os.listdir(PROGRAMS))) if os.path.isdir(PROGRAMS) else ""
    raise Refused(
        f"there is no program {name}: the packages that the app requires have {known or 'none'}; and there is python"
    )


def check(commands: dict[str, list[str]]) -> dict[str, dict]:
    """What the build shows of each process type's command: `refused`, or its `notes` and whether it is `wsgi`."""
    answers: dict[str, dict] = {}
    for process, words in commands.items():
        # Values come when it starts; a number stands for what is asked as one.
        try:
            launch = resolve([_VARIABLE.sub(lambda match: match[3] or "8080", word) for word in words])
            if launch.kind == "interactive":
                raise Refused("python is given nothing to run, and has no terminal to read from")
            if launch.kind == "file" and not os.path.isfile(launch.target):
                raise Refused(f"there is no file {launch.target} in the source")
            answers[process] = {"notes": launch.notes, "wsgi": launch.kind == "wsgi"}
        except Refused as refused:
            answers[process] = {"refused": str(refused)}
    return answers


def begin(launch: Launch) -> None:
    """Sets what the command says of the process."""
    os.environ.update(launch.environ)
    if launch.directory:
        os.chdir(launch.directory)
    for path in reversed(launch.paths):
        sys.path.insert(0, os.path.abspath(path))
