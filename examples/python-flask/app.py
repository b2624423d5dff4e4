"""A guest book in memory, as any Flask app."""

import os

from flask import Flask, jsonify, redirect, render_template, request

app = Flask(__name__)
entries: list[str] = []


@app.get("/")
def index() -> str:
    greeting = os.environ.get("GREETING", "Hello from Flask")
    return render_template("index.html", greeting=greeting, entries=entries)


@app.post("/")
def sign() -> object:
    entries.append(request.form["text"][:200])
    return redirect("/")


@app.post("/echo")
def echo() -> object:
    return jsonify(request.get_json())


@app.get("/error")
def error() -> str:
    raise RuntimeError("on purpose")
