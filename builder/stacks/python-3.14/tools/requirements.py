"""What an app requires, from whichever file says it."""

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# In this order: what pins versions comes before what does not.
FILES = ("uv.lock", "poetry.lock", "Pipfile.lock", "requirements.txt", "pyproject.toml", "Pipfile")


def chosen(app: Path) -> str:
    """The file that counts."""
    return next(file for file in FILES if (app / file).is_file())


def _say_others(app: Path) -> None:
    """Files that somebody may take for the one that counts."""
    there = [file for file in FILES if (app / file).is_file()]
    if there[1:] and set(there[1:]) - {"pyproject.toml", "Pipfile"}:
        others = ", ".join(file for file in there[1:] if file not in ("pyproject.toml", "Pipfile"))
        print(f" !     {there[0]} says what is installed; {others} is not read")


def names_django(app: Path) -> bool:
    """Whether the file that counts asks for Django."""
    return "django" in (app / chosen(app)).read_text("utf-8", "replace").lower()


def _line(name: str, version: str, extras: list[str], markers: str, hashes: list[str]) -> str:
    line = f"{name}{'[' + ','.join(extras) + ']' if extras else ''}{version}"
    if markers:
        line += f" ; {markers}"
    return line + "".join(f" --hash={digest}" for digest in hashes)


def _pipfile(locked: dict) -> list[str]:
    lines = []
    for name, entry in locked["default"].items():
        if "version" not in entry:
            sys.exit(f" !     Pipfile.lock: {name} is not from a package index, which is not supported")
        version, extras = entry["version"], entry.get("extras", [])
        lines.append(_line(name, version, extras, entry.get("markers", ""), entry.get("hashes", [])))
    return lines


def _unlocked(pipfile: dict) -> list[str]:
    lines = []
    for name, entry in pipfile.get("packages", {}).items():
        entry = {"version": entry} if isinstance(entry, str) else entry
        version = entry.get("version", "*")
        lines.append(_line(name, "" if version == "*" else version, entry.get("extras", []), entry.get("markers", ""), []))
    return lines


def _poetry(locked: dict) -> list[str]:
    lines = []
    for package in locked["package"]:
        if "main" not in package.get("groups", [package.get("category", "main")]):
            continue
        if "source" in package and package["source"].get("type") not in (None, "legacy"):
            sys.exit(f" !     poetry.lock: {package['name']} is not from a package index, which is not supported")
        markers = package.get("markers", "")
        if isinstance(markers, dict):
            markers = markers.get("main", "")
        optional = package.get("optional", False)
        if not optional:
            hashes = [file["hash"] for file in package.get("files", [])]
            lines.append(_line(package["name"], f"=={package['version']}", [], markers, hashes))
    return lines


@contextmanager
def find(app: Path, uv: list[str], environment: dict[str, str]) -> Iterator[tuple[list[str], list[str]]]:
    """Files of requirements that uv reads, and its further options."""
    file = chosen(app)
    _say_others(app)
    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory) / "requirements.txt"
        match file:
            case "requirements.txt" | "pyproject.toml":
                yield [file], []
                return
            case "uv.lock":
                command = [*uv, "export", "--frozen", "--no-dev", "--no-emit-project", "--no-annotate", "--quiet"]
                command += ["--format", "requirements-txt", "--python", sys.executable, "--output-file", str(made)]
                if subprocess.run(command, cwd=app, env=environment, stdout=subprocess.DEVNULL).returncode:
                    sys.exit(" !     uv.lock could not be read")
                yield [str(made)], ["--no-deps"]
                return
            case "poetry.lock":
                lines, pinned = _poetry(tomllib.loads((app / file).read_text())), True
            case "Pipfile.lock":
                lines, pinned = _pipfile(json.loads((app / file).read_text())), True
            case _:
                lines, pinned = _unlocked(tomllib.loads((app / file).read_text())), False
        made.write_text("\n".join(lines) + "\n")
        yield [str(made)], ["--no-deps"] if pinned else []
