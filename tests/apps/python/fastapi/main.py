"""FastAPI with pydantic 2, and requests of its own."""

import asyncio
import os
import ssl
import urllib.error
import urllib.request
from datetime import date
from typing import Annotated

import httpx
import redis
import requests
from fastapi import Depends, FastAPI, HTTPException
from pydantic import AnyUrl, BaseModel, Field, field_validator

app = FastAPI(title="Shop")


class Item(BaseModel):
    name: Annotated[str, Field(min_length=2)]
    price: Annotated[float, Field(gt=0)]
    since: date = date(2026, 1, 1)
    link: AnyUrl | None = None

    @field_validator("name")
    @classmethod
    def no_spaces(cls, name: str) -> str:
        if " " in name:
            raise ValueError("no spaces")
        return name


def limit(limit: int = 10) -> int:
    return limit


@app.post("/items", status_code=201)
async def create(item: Item) -> Item:
    return item


@app.get("/items/{number}")
def show(number: int, limit: Annotated[int, Depends(limit)]) -> dict[str, int]:
    if number > limit:
        raise HTTPException(404, "no such item")
    return {"number": number, "limit": limit}


async def with_asyncio(url: str) -> str:
    parts = httpx.URL(url)
    reader, writer = await asyncio.open_connection(parts.host, parts.port, ssl=ssl.create_default_context())
    writer.write(f"GET {parts.path} HTTP/1.0\r\nhost: {parts.host}\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n\r\n")[2].decode()


async def with_httpx_async(url: str) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).text


@app.get("/fetch/{how}")
async def fetch(how: str) -> str:
    url = os.environ["SECURE_URL"]
    try:
        match how:
            case "requests":
                return requests.get(url, timeout=10).text
            case "httpx":
                return httpx.get(url).text
            case "urllib":
                return urllib.request.urlopen(url, timeout=10).read().decode()
            case "httpx-async":
                return await with_httpx_async(url)
            case "asyncio":
                return await with_asyncio(url)
            case "redis":
                return str(redis.Redis.from_url(os.environ["REDIS_URL"]).ping())
    except (httpx.TransportError, requests.RequestException, urllib.error.URLError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    raise HTTPException(404)
