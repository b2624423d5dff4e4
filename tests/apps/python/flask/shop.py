"""A shop of Flask's, served by gunicorn elsewhere."""

import os
import sys
import time
from collections.abc import Iterator

from flask import Flask, Response, abort, jsonify, render_template, request, session

# Read when the module is imported, as settings are.
GREETING = os.environ["GREETING"]


def create_app() -> Flask:
    app = Flask(__name__)
    app.secret_key = os.environ["SECRET_KEY"]

    @app.get("/")
    def index() -> str:
        return render_template("index.html", greeting=GREETING, names=["<b>", "two"])

    @app.get("/items/<int:number>")
    def item(number: int) -> Response:
        return jsonify(number=number, query=request.args.to_dict(), dyno=os.environ["DYNO"].split(".")[0])

    @app.post("/upload")
    def upload() -> Response:
        file = request.files["file"]
        return jsonify(name=file.filename, size=len(file.read()), field=request.form["field"])

    @app.post("/echo")
    def echo() -> Response:
        return Response(request.get_data(), mimetype="application/octet-stream")

    @app.get("/events")
    def events() -> Response:
        def ticks() -> Iterator[str]:
            try:
                number = 0
                while True:
                    number += 1
                    yield f"data: {number}\n\n"
                    time.sleep(0.001)
            finally:
                print("nobody listens any more", flush=True)

        return Response(ticks(), mimetype="text/event-stream")

    @app.get("/count")
    def count() -> str:
        session["count"] = session.get("count", 0) + 1
        return str(session["count"])

    @app.get("/boom")
    def boom() -> str:
        raise ValueError("boom")

    @app.errorhandler(ZeroDivisionError)
    def worse(_error: ZeroDivisionError) -> str:
        raise ValueError("worse")

    @app.get("/worse")
    def divide() -> str:
        return str(1 / 0)

    @app.get("/trap")
    def trap() -> None:
        os.abort()

    @app.get("/exit")
    def leave() -> str:
        sys.exit(3)

    @app.get("/half")
    def half() -> Response:
        def pieces() -> Iterator[str]:
            yield "one"
            raise ValueError("half")

        return Response(pieces())

    @app.get("/lazy")
    def lazy() -> str:
        import colorsys
        import wave

        return f"{wave.__name__} {colorsys.rgb_to_hsv(0, 0, 1)}"

    @app.get("/teapot")
    def teapot() -> None:
        abort(418)

    @app.get("/client")
    def client() -> Response:
        return jsonify(address=request.remote_addr, scheme=request.scheme, host=request.host)

    return app
