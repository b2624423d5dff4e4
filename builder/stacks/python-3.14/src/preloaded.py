"""Entry of an app's own component: the stack's, with the app's libraries loaded. Made by `snapshot.sh`."""

import gc

import preload
from python import Run  # noqa: F401

preload.load("/1", "/0/preload.json", "/0/preload.txt")
gc.collect()
gc.freeze()
