"""What commands of a Procfile run."""

import os
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import launch  # noqa: E402


class Commands(unittest.TestCase):
    """In a directory with an app."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        self.addCleanup(setattr, launch, "PROGRAMS", launch.PROGRAMS)
        os.chdir(directory.name)
        launch.PROGRAMS = os.path.join(directory.name, "bin")
        os.mkdir("bin")
        for name, text in {
            "bin/uvicorn": "#!/x/python3\n", "bin/gunicorn": "#!/x/python3\n", "bin/flask": "#!/x/python3\n",
            "start.sh": "#!/bin/sh\n", "settings.py": "", "u.ini": "[uwsgi]\nmodule = a.b\ncallable = c\nchdir = d\n",
        }.items():
            Path(name).write_text(text)

    def target(self, command: str) -> tuple:
        """What of it matters."""
        found = launch.resolve(command.split())
        return found.kind, os.path.basename(found.target) if found.kind == "file" else found.target, found.args

    def test_programs_run_as_they_are(self) -> None:
        for command, wanted in {
            "uvicorn main:app --port 1": ("file", "uvicorn", ["main:app", "--port", "1"]),
            "exec poetry run uvicorn a:b": ("file", "uvicorn", ["a:b"]),
            "python -u worker.py x -m": ("file", "worker.py", ["x", "-m"]),
            "/usr/bin/python3.12 -W ignore -m a.b c": ("module", "a.b", ["c"]),
            "python -c x=1": ("code", "x=1", []),
            "flask db upgrade": ("file", "flask", ["db", "upgrade"]),
            "python manage.py runserver 0:1": ("file", "manage.py", ["runserver", "0:1", "--noreload", "--nothreading"]),
        }.items():
            kind, target, args = self.target(command)
            self.assertEqual((kind, target, sorted(args)), (wanted[0], wanted[1], sorted(wanted[2])), command)

    def test_wsgi_servers_are_read_for_their_app(self) -> None:
        for command, app in {
            "gunicorn app:app": "app:app",
            "gunicorn -w 4 -b 0.0.0.0:80 --log-file - app:make()": "app:make()",
            "python -m gunicorn --threads=2 site.wsgi": "site.wsgi",
            "gunicorn -c settings.py": "",
            "waitress-serve --port=80 --threads=4 --call a:make": "a:make()",
            "waitress-serve --no-ipv6 a:b": "a:b",
            "uwsgi --http :80 --module a:b --processes 4": "a:b",
            "uwsgi --http-socket :80 --wsgi-file a/b.py --callable app": "b:app",
            "uwsgi u.ini": "a.b:c",
            "flask --app shop run --port 80": "flask:shop",
            "flask run -h 0.0.0.0": "flask:",
        }.items():
            self.assertEqual(self.target(command)[:2], ("wsgi", app), command)
        self.assertEqual(launch.resolve(["uwsgi", "u.ini"]).directory, "d")
        noted = launch.resolve("gunicorn -w 4 -k gevent --chdir x -e A=1 a:b".split())
        self.assertEqual((noted.directory, noted.environ, len(noted.notes)), ("x", {"A": "1"}, 2))

    def test_uvicorn_workers_are_uvicorn(self) -> None:
        found = launch.resolve("gunicorn -k uvicorn.workers.UvicornWorker --chdir x main:app".split())
        self.assertEqual((found.kind, found.target, found.args[0]), ("module", "uvicorn", "main:app"))
        self.assertEqual(found.args[-2:], ["--app-dir", "x"])

    def test_what_cannot_run_says_what_can(self) -> None:
        for command, says in {
            "celery worker": "there is no program celery: the packages that the app requires have flask, gunicorn, uvicorn",
            "./start.sh": "not a Python program",
            "python -i x.py": "flag -i",
            "gunicorn": "not told the app",
            "gunicorn -c nothing.py": "no file nothing.py",
            "gunicorn --sparkle a:b": "--sparkle",
            "uwsgi --http :80": "not told the app",
            "env A=1": "names no program",
        }.items():
            with self.assertRaises(launch.Refused, msg=command) as raised:
                launch.resolve(command.split())
            self.assertIn(says, str(raised.exception), command)

    def test_variables_are_filled_in(self) -> None:
        os.environ["FILLED"] = "in"
        self.addCleanup(os.environ.pop, "FILLED")
        words = launch.expand(["$FILLED", "a${FILLED}b", "${NOT_THERE:-x}", "$NOT_THERE", "${FILLED:-x}", "5$"])
        self.assertEqual(words, ["in", "ainb", "x", "", "in", "5$"])
        os.environ["DYNO"] = "run.1"
        self.addCleanup(os.environ.pop, "DYNO")
        self.assertEqual(launch.expand(["$FILLED"]), ["$FILLED"], "the platform did it")
        self.assertEqual(launch.resolve(["env", "A=b=c", "B=", "python", "x"]).environ, {"A": "b=c", "B": ""})

    def test_builds_are_told_of_each_command(self) -> None:
        told = launch.check({"web": ["gunicorn", "-b", ":$PORT", "a:b"], "one": ["x"], "two": ["python", "x.py"]})
        self.assertEqual(told["web"], {"notes": [], "wsgi": True})
        self.assertIn("no program x", told["one"]["refused"])
        self.assertIn("no file x.py", told["two"]["refused"])
        self.assertIn("nothing to run", launch.check({"web": ["python"]})["web"]["refused"])

    def test_python_alone_is_interactive(self) -> None:
        self.assertEqual(self.target("python"), ("interactive", "", []))
        self.assertEqual(self.target("python3.14 -q - a"), ("interactive", "", ["a"]))


if __name__ == "__main__":
    unittest.main()
