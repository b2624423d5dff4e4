"""The command `python3.14`: what the component runs.

All that is imported here is in the component's memory from the build on; what a process does with it is its own.
"""

import packed

packed.install("/0/stdlib.packed")

# What servers import, so that a process does not unpack it again.
import _multiprocessing  # noqa: E402, F401
import argparse  # noqa: E402, F401
import base64  # noqa: E402, F401
import code  # noqa: E402
import concurrent.futures  # noqa: E402, F401
import configparser  # noqa: E402, F401
import contextvars  # noqa: E402, F401
import copy  # noqa: E402, F401
import ctypes.util  # noqa: E402, F401
import dataclasses  # noqa: E402, F401
import datetime  # noqa: E402, F401
import decimal  # noqa: E402, F401
import email.message  # noqa: E402, F401
import email.parser  # noqa: E402, F401
import email.utils  # noqa: E402, F401
import encodings.ascii  # noqa: E402, F401
import encodings.idna  # noqa: E402, F401
import encodings.latin_1  # noqa: E402, F401
import fcntl  # noqa: E402, F401
import fractions  # noqa: E402, F401
import gc  # noqa: E402
import gzip  # noqa: E402, F401
import hashlib  # noqa: E402, F401
import hmac  # noqa: E402, F401
import html  # noqa: E402, F401
import http.client  # noqa: E402, F401
import http.cookies  # noqa: E402, F401
import importlib.metadata  # noqa: E402, F401
import importlib.resources  # noqa: E402, F401
import inspect  # noqa: E402, F401
import ipaddress  # noqa: E402, F401
import json  # noqa: E402
import logging.config  # noqa: E402, F401
import logging.handlers  # noqa: E402, F401
import mimetypes  # noqa: E402, F401
import os  # noqa: E402
import pathlib  # noqa: E402, F401
import platform  # noqa: E402, F401
import queue  # noqa: E402, F401
import random  # noqa: E402, F401
import runpy  # noqa: E402
import secrets  # noqa: E402, F401
import selectors  # noqa: E402, F401
import shutil  # noqa: E402, F401
import signal  # noqa: E402, F401
import site  # noqa: E402
import socketserver  # noqa: E402, F401
import sqlite3  # noqa: E402, F401
import ssl  # noqa: E402, F401
import subprocess  # noqa: E402, F401
import sys  # noqa: E402
import tempfile  # noqa: E402, F401
import threading  # noqa: E402, F401
import traceback  # noqa: E402
import typing  # noqa: E402, F401
import urllib.request  # noqa: E402, F401
import uuid  # noqa: E402, F401
import wsgiref.simple_server  # noqa: E402, F401
import zoneinfo  # noqa: E402, F401

import launch  # noqa: E402
import patches  # noqa: E402
import preload  # noqa: E402
import servers  # noqa: E402, F401
import supplied  # noqa: E402
import tls  # noqa: E402
import wsgi_server  # noqa: E402
import zones  # noqa: E402
from componentize_py_types import Err  # noqa: E402

patches.install()
tls.install()
zones.install("/0/zones.packed")
supplied.install("/0/natives", "/0/later")

import hashes  # noqa: E402 – one of what was just supplied is in it.

hashes.install()

# A collection in a process would write to all of these objects, and so make their pages its own.
gc.collect()
gc.freeze()

# Who a server's client is says the router, which is the only one that connects; Heroku's buildpack sets it too.
ENVIRONMENT = {"FORWARDED_ALLOW_IPS": "*"}


def _prepare() -> None:
    os.chdir("/app")
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    sys.path[:] = [path for path in os.environ.get("PYTHONPATH", "").split(":") if path] + [packed.ROOT]
    sys.path_importer_cache.clear()
    sys.dont_write_bytecode = True
    sys.executable = "/app/.heroku/python/bin/python3.14"
    if os.path.isdir(preload.SITE_PACKAGES):
        site.addsitedir(preload.SITE_PACKAGES)


def _run(words: list[str]) -> None:
    if words[1:2] == ["--check"]:  # For builds.
        print(json.dumps(launch.check(json.loads(words[2]))))
        return
    if words[1:2] == ["--modules"]:  # The same.
        print(json.dumps(preload.needed(lambda: _run(json.loads(words[2])))))
        return
    launched = launch.resolve(launch.expand(words))
    launch.begin(launched)
    match launched.kind:
        case "interactive":
            sys.argv = ["-" if launched.args else "", *launched.args]
            sys.path.insert(0, "")
            if sys.stdin.isatty():
                code.interact(local={"__name__": "__main__"}, exitmsg="")
            else:
                exec(compile(sys.stdin.read(), "<stdin>", "exec"), {"__name__": "__main__"})
        case "module":
            sys.argv = [launched.target, *launched.args]
            sys.path.insert(0, os.getcwd())
            runpy.run_module(launched.target, run_name="__main__", alter_sys=True)
        case "code":
            sys.argv = ["-c", *launched.args]
            sys.path.insert(0, "")
            exec(compile(launched.target, "<string>", "exec"), {"__name__": "__main__"})
        case "file":
            sys.argv = [launched.target, *launched.args]
            directory = os.path.dirname(os.path.abspath(launched.target))
            # A package's program is for the app that it is run in.
            sys.path.insert(0, os.getcwd() if directory == launch.PROGRAMS else directory)
            runpy.run_path(launched.target, run_name="__main__")
        case "wsgi":
            wsgi_server.serve(launched)


def _status(code: object) -> int:
    if code is None or isinstance(code, int):
        return code or 0
    print(code, file=sys.stderr)
    return 1


class Run:
    """The world's export `wasi:cli/run`."""

    def run(self) -> None:
        """Runs what the arguments say. Of exit statuses WASI 0.2 knows 0 and 1."""
        try:
            _prepare()
            _run(sys.argv)
            status = 0
        except launch.Refused as refused:
            print(refused, file=sys.stderr)
            status = 1
        except SystemExit as exit:
            status = _status(exit.code)
        except BaseException:
            traceback.print_exc()
            status = 1
        sys.stdout.flush()
        sys.stderr.flush()
        if status:
            raise Err(None)
