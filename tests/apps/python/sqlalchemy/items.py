"""Items in PostgreSQL by SQLAlchemy, and a counter in Redis."""

import os

import redis
from flask import Flask, Response, abort, jsonify, request
from sqlalchemy import String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

url = os.environ["DATABASE_URL"].replace("postgres://", "postgresql://", 1)
engine = create_engine(url.replace("postgresql://", "postgresql+pg8000://", 1), pool_pre_ping=True)
store = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)


Base.metadata.create_all(engine)
app = Flask(__name__)


def shown(item: Item) -> dict:
    return {"id": item.id, "name": item.name}


@app.post("/items")
def create() -> tuple[Response, int]:
    with Session(engine) as session, session.begin():
        item = Item(name=request.json["name"])
        session.add(item)
        session.flush()
        return jsonify(shown(item)), 201


@app.get("/items")
def read() -> Response:
    with Session(engine) as session:
        return jsonify([shown(item) for item in session.scalars(select(Item).order_by(Item.id))])


@app.put("/items/<int:number>")
def update(number: int) -> Response:
    with Session(engine) as session, session.begin():
        item = session.get(Item, number) or abort(404)
        item.name = request.json["name"]
        return jsonify(shown(item))


@app.delete("/items/<int:number>")
def delete(number: int) -> tuple[str, int]:
    with Session(engine) as session, session.begin():
        session.delete(session.get(Item, number) or abort(404))
    return "", 204


@app.post("/count")
def count() -> Response:
    return jsonify(store.incr("count"))
