"""Tries packages on the stack: packages.py STACK [NAME ...] > docs/python-packages.md

STACK is the stack's directory in the user's cache, toolchains/python-3.14-…, which a first build makes. Each package is
installed by itself as a build does it, and used as packages.toml says.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path


def attempt(stack: Path, name: str, use: str) -> tuple[str, str]:
    """The version, and what came of it; nothing if it works."""
    environment = os.environ | {"PYTHONPATH": str(stack / "host"), "PYTHONDONTWRITEBYTECODE": "1"}
    code = str(stack / "stack.cwasm")
    with tempfile.TemporaryDirectory() as app:
        Path(app, "requirements.txt").write_text(name + "\n")
        cache = str(Path(tempfile.gettempdir(), "packages-uv"))
        install = [sys.executable, stack / "tools/install.py", code, app, cache]
        done = subprocess.run(install, env=environment, capture_output=True, text=True, check=False)
        found = re.search(rf"^ \+ {re.escape(name)}==(\S+)", done.stdout + done.stderr, re.MULTILINE | re.IGNORECASE)
        version = found[1] if found else ""
        if done.returncode:
            said = [line.removeprefix(" !").strip() for line in done.stderr.splitlines() if line.startswith(" !")]
            return version, said[0] if said else "cannot be installed"
        run = [sys.executable, stack / "tools/guest.py", code, app, "-c", use]
        done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
        lines = done.stderr.strip().splitlines() or ["it ends with an error"]
        return version, lines[-1] if done.returncode else ""


def main(stack: Path, only: list[str]) -> None:
    """Writes the table."""
    packages = tomllib.loads(Path(__file__).with_name("packages.toml").read_text())["packages"]
    print("# Python packages that were tried\n")
    print("Each by itself on the stack `python-3.14`, in its newest version, with a small use of it. Made by")
    print("`builder/stacks/python-3.14/test/packages.py`.\n")
    print("| package | version | |\n|---|---|---|")
    for name, use in packages.items():
        if not only or name in only:
            version, problem = attempt(stack, name, use)
            print(f"| {name} | {version} | {problem.replace('|', '/') or 'works'} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
