"""Installs what an app requires: install.py CODE APP [CACHE], into the directory that dynos have at /app.

uv resolves and fetches, for Python 3.14, and runs no code of packages: only wheels are taken. Native code is deleted,
since it is for another machine than a dyno; packages that are nothing without it end the build by name. Then the
stack's own Python compiles what is left, for that takes most of an import's time.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import requirements

HERE = Path(__file__).resolve().parent
PREFIX = Path(".heroku/python")
SITE = PREFIX / "lib/python3.14/site-packages"
PYTHON = "3.14"
# Wheels for Linux are taken too: in many the native code only makes faster what is there in Python.
PLATFORM = "x86_64-manylinux_2_28"
NATIVE = {".so", ".pyd", ".dylib"}
# Imports modules and says which of them want what is not there.
TRY = """
import importlib, json, sys
failed = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed[name] = str(error)
    except BaseException:
        pass  # It wants something else of its surroundings, which a build has not.
print(json.dumps(failed))
"""
# Compiles a directory. Files for other versions of Python lie in some packages; they stay as they are.
COMPILE = """
import compileall, py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
compileall.compile_dir(sys.argv[1], quiet=2, invalidation_mode=mode, maxlevels=100)
"""


def fail(text: str) -> None:
    """Ends the build with what the person deploying is to read."""
    sys.exit(f" !     {text}")


def normal(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Package:
    """One that was installed."""

    def __init__(self, site: Path, info: Path) -> None:
        self.site = site
        self.info = info
        metadata = (info / "METADATA").read_text("utf-8", "replace")
        head = metadata.partition("\n\n")[0]
        self.name = normal(re.search(r"^Name: *(.+)$", head, re.MULTILINE)[1])
        self.version = re.search(r"^Version: *(.+)$", head, re.MULTILINE)[1]
        wanted = re.findall(r"^Requires-Dist: *([\w.-]+)(.*)$", head, re.MULTILINE)
        self.requires = {normal(name) for name, rest in wanted if "extra ==" not in rest}
        # What it wants in one version only.
        self.pinned = re.findall(r"^Requires-Dist: *([\w.-]+) *\(?== *([\w.]+)", head, re.MULTILINE)
        record = (info / "RECORD").read_text("utf-8", "replace").splitlines()
        self.files = [line.rsplit(",", 2)[0].strip('"') for line in record]

    def native(self) -> list[str]:
        """Its files of native code."""
        return [file for file in self.files if Path(file).suffix in NATIVE or ".so." in Path(file).name]

    def remove(self) -> None:
        """All of it."""
        for file in self.files:
            (self.site / file).unlink(missing_ok=True)
        shutil.rmtree(self.info, ignore_errors=True)

    def modules(self, native: list[str]) -> list[str]:
        """What is imported to see whether it works without its native code: what that lies in."""
        return sorted({file.split("/")[0].split(".")[0] for file in native if ".libs/" not in file})


def supplied() -> dict[str, str]:
    """The packages whose native modules are a part of the stack, with their versions."""
    wheels = [wheel.name.split("-") for wheel in (HERE.parent / "wheels").glob("*.whl")]
    return {normal(name): version for name, version, *_ in wheels}


def fetch(app: Path, site: Path, cache: str, instead: list[str | Path]) -> tuple[bool, str]:
    """Runs uv, with the further options `instead`; whether it could, and what it says."""
    environment = dict(os.environ)
    for pip, uv in (("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), ("PIP_EXTRA_INDEX_URL", "UV_INDEX")):
        if pip in environment:
            environment.setdefault(uv, environment[pip])
    environment["UV_CACHE_DIR"] = cache
    uv = HERE.parent / "host/bin/uv"
    with requirements.find(app, [str(uv)], environment) as (files, extra):
        command = [uv, "pip", "install", "--python", sys.executable, "--python-version", PYTHON]
        command += ["--python-platform", PLATFORM, "--only-binary", ":all:", "--target", site]
        command += ["--no-progress", "--link-mode", "copy", *extra]
        for file in files:
            command += ["-r", file]
        command += instead
        done = subprocess.run(command, cwd=app, env=environment, stderr=subprocess.PIPE, text=True, check=False)
        return not done.returncode, done.stderr


def installed(site: Path) -> list[Package]:
    """What is there."""
    return [Package(site, info) for info in sorted(site.glob("*.dist-info"))]


def fetch_all(app: Path, site: Path, cache: str) -> None:
    """Fetches what is required. What has its native code in the stack is taken in the stack's version, and psycopg in the
    place of psycopg2 where Django asks for it."""
    versions, native = supplied(), HERE.parent / "native"
    wheels = ["--overrides", native / "wheels.txt"] if versions else []
    done, said = fetch(app, site, cache, wheels)
    found = installed(site)
    if done:
        pins = [(f"{package.name} {package.version}", pin) for package in found for pin in package.pinned]
        others = [user for user, (name, version) in pins if versions.get(name, version) != version]
    else:
        # They may have no wheels for this Python, or not go with what else is required.
        others = [name for name in versions if name in said]
    old = requirements.names_django(app) and (
        any(package.name in ("psycopg2", "psycopg2-binary") for package in found) or not done and "psycopg2" in said
    )
    instead: list[str | Path] = []
    if others:
        print(f" !     {', '.join(others)}: the stack has the native code of another version. Taken instead:")
        instead += ["--overrides", native / "with.txt", "-r", native / "with.txt"]
    if old:
        print(" !     psycopg2 is native code, which cannot run here. psycopg 3 is taken instead, and Django takes it as well;")
        print(" !     code that imports psycopg2 itself has to import psycopg")
        instead += ["--overrides", HERE / "no-psycopg2.txt", "-r", HERE / "psycopg.txt"]
    if instead:
        shutil.rmtree(site)
        site.mkdir()
        done, said = fetch(app, site, cache, [*wheels, *instead])
    print(said, end="", file=sys.stderr, flush=True)
    if not done:
        fail("the packages could not be installed: uv says above why. Packages need a wheel, for any machine or "
             "for Linux, and Python 3.14")


def sort_out(site: Path, code: str, app: Path) -> None:
    """Deletes native code, and with it the packages that others do without."""
    table = tomllib.loads((HERE / "native.toml").read_text())
    packages = installed(site)
    versions = supplied()
    doubtful: dict[str, list[str]] = {}
    problems: list[str] = []

    def problem(package: Package, what: str) -> None:
        # One that is needed only by another that cannot work either is not news.
        users = [user.name for user in packages if package.name in user.requires]
        if users and set(users) <= set(table["instead"]):
            return
        by = f" (required by {', '.join(users)})" if users else ""
        problems.append(f"{package.name} {package.version}{by} {what}")

    for package in packages:
        native = package.native()
        if package.name in table["optional"]:
            package.remove()
            print(f"{package.name} is left out, it is native code: {table['optional'][package.name]}")
        elif package.name in versions:
            for file in native:  # Of the machine that uv resolved for.
                (site / file).unlink()
        elif package.name in table["instead"] and native:
            problem(package, f"has native code, which cannot run here; instead: {table['instead'][package.name]}")
        elif native:
            doubtful[package.name] = package.modules(native)
            for file in native:
                (site / file).unlink(missing_ok=True)
    names = sorted({name for modules in doubtful.values() for name in modules})
    if names and not problems:
        tried = subprocess.run(guest(code, app, "-c", TRY, *names), stdout=subprocess.PIPE, check=False)
        failed = json.loads(tried.stdout or b"{}")
        for package in packages:
            wrong = [name for name in doubtful.get(package.name, []) if name in failed]
            if wrong:
                problem(package, f"does not work without its native code, which cannot run here: {failed[wrong[0]]}")
    if problems:
        for text in problems:
            print(f" !     {text}", file=sys.stderr)
        fail("remove them from what the app requires (docs/python.md has a list of packages that work)")
    print(f"{len(list(site.glob('*.dist-info')))} packages")


def guest(code: str, app: Path, *arguments: str) -> list[str]:
    """The stack's Python."""
    return [sys.executable, str(HERE / "guest.py"), code, str(app), *arguments]


def main(code: str, app: Path, cache: str) -> None:
    """See the module."""
    prefix, site = app / PREFIX, app / SITE
    shutil.rmtree(prefix, ignore_errors=True)
    site.mkdir(parents=True)
    fetch_all(app, site, cache)
    if (site / "bin").is_dir():
        (site / "bin").rename(prefix / "bin")
    sort_out(site, code, app)
    for left in (*site.glob("*.dist-info/RECORD"), *site.glob("*.dist-info/INSTALLER"), site / ".lock"):
        left.unlink(missing_ok=True)  # Of uv, and of no use to the app.
    if subprocess.run(guest(code, app, "-c", COMPILE, f"/app/{SITE}"), check=False).returncode:
        fail("the packages could not be compiled")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
