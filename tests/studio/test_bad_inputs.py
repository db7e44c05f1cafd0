"""Bad requests and the answer to each: never a 5xx, never slow, never half-written, and what came is not sent back."""

from __future__ import annotations

import base64
import io
import json
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from studio import middleware
from tests.studio.serving import PRODUCT, WRITER, Studio, generate, vote_on

JSON = {"content-type": "application/json"}
SLOW = 2.0  # seconds
GROWTH = 200 * 2**20  # bytes of memory at most, while a request is answered


@contextmanager
def bounded(own: int = 0) -> Iterator[None]:
    """In little time, and in little memory. own: bytes that the client holds itself."""
    began, before = time.monotonic(), memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
    yield
    assert time.monotonic() - began < SLOW
    assert memory("VmHWM") - before < GROWTH + own


def memory(name: str) -> int:
    """Bytes of this process, in which the studio runs."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def post(client: httpx.Client, body: bytes | str, path: str = "/api/v1/generate", **headers: str) -> httpx.Response:
    return client.post(path, content=body, headers={**JSON, **headers})


def foreign(client: httpx.Client, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{client.base_url}/favourites", headers=headers)


BODIES: dict[str, tuple[Callable[[httpx.Client], httpx.Response], int]] = {
    "100 MB": (lambda client: post(client, b"0" * 100_000_000), 413),
    "another content type": (lambda client: client.post("/api/v1/generate", content="count=1"), 415),
    "no content type": (lambda client: client.post("/api/v1/events", data={"id": "x"}), 415),
    "100,000 deep": (lambda client: post(client, "[" * 30_000 + "]" * 30_000, "/api/v1/events"), 400),
    "100,000 digits": (lambda client: post(client, '{"count": ' + "1" * 60_000 + "}"), 400),
    "NaN": (lambda client: post(client, '{"count": 1, "temperature": NaN}'), 422),
    "infinity": (lambda client: post(client, '{"count": 1, "temperature": 1e999}'), 422),
    "true for 1": (lambda client: post(client, '{"count": true}'), 422),
    "an extra key": (lambda client: post(client, '{"count": 1, "admin": true}'), 422),
    "no JSON": (lambda client: post(client, "{"), 400),
    "no UTF-8": (lambda client: post(client, b'{"label": "\xff"}'), 400),
    "half a surrogate": (lambda client: post(client, '{"count": 1, "label": "\\ud800"}'), 422),
    "no body": (lambda client: post(client, ""), 400),
    "n = 10**9": (lambda client: post(client, '{"count": 1000000000}'), 422),
    "n = -1": (lambda client: post(client, '{"count": -1}'), 422),
    "a negative seed": (lambda client: post(client, '{"count": 1, "seed": -1}'), 422),
    "a seed beyond all": (lambda client: post(client, '{"count": 1, "seed": 2147483648}'), 422),
    "a class that is a list": (lambda client: post(client, '{"count": 1, "label": [1]}'), 422),
    "a temperature of 0": (lambda client: post(client, '{"count": 1, "guided": true, "temperature": 0}'), 422),
    "a visitor that is SQL": (lambda client: post(client, """{"count": 1, "visitor": "'; DROP TABLE events"}"""), 422),
    "a forged version": (lambda client: client.get("/api/v1/samples/999/1/0.png"), 404),
    "a version of 20 digits": (lambda client: client.get("/api/v1/samples/99999999999999999999/1/0.png"), 422),
    "a path out of the project": (lambda client: client.get("/static/..%2f..%2fparams.yaml"), 404),
    "another method": (lambda client: client.put("/api/v1/generate"), 405),
    "10,000 ranges": (lambda client: client.get("/healthz", headers={"range": "bytes=" + "0-1," * 10_000}), 416),
    "no token on admin": (lambda client: httpx.post(f"{client.base_url}/api/v1/admin/reload"), 401),
    "a foreign origin": (lambda client: foreign(client, {"origin": "http://evil.example"}), 403),
    "a foreign site": (lambda client: foreign(client, {"sec-fetch-site": "cross-site"}), 403),
    "a foreign host": (lambda client: client.get("/healthz", headers={"host": "evil.example"}), 400),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_request_gets_its_answer(shared_studio: Studio, name: str) -> None:
    ask, status = BODIES[name]
    client = shared_studio.client(PRODUCT)
    with bounded(100_000_000 if name == "100 MB" else 0):
        answer = ask(client)
    assert answer.status_code == status, answer.text
    if answer.headers["content-type"] != "application/problem+json":
        assert name == "10,000 ranges"
        return
    assert answer.json()["status"] == status
    assert len(answer.content) < 2_000  # what came is not sent back
    assert client.get("/readyz").status_code == 200


def test_html_and_sql_are_stored_as_what_they_are_and_shown_escaped(studio: Studio) -> None:
    visitor = studio.client()
    (sample,) = generate(visitor)
    reason = "<script>alert(1)</script>'; DROP TABLE events; --"
    assert visitor.post("/api/v1/events", json=vote_on(sample, "one", -1, reason=reason)).status_code == 200
    page = visitor.get("/mine").text
    assert "<script>alert" not in page
    assert studio.service.store.find(["one"])["one"].reason == reason


def test_tokens_are_for_one_visitor_one_sample_and_a_time(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = studio.client(), studio.client()
    (sample,) = generate(alice)
    vote = vote_on(sample, "one")
    assert bob.post("/api/v1/events", json=vote).status_code == 403
    other = {**vote, "sample": {**vote["sample"], "seed": sample["seed"] + 1}}
    assert alice.post("/api/v1/events", json=other).status_code == 403
    assert alice.post("/api/v1/events", json={**vote, "token": vote["token"][:-2]}).status_code == 403
    assert alice.post("/api/v1/events", json={**vote, "token": None}).status_code == 403
    assert alice.post("/api/v1/events", json={**vote, "rater": "carol"}).status_code == 403
    assert alice.post("/api/v1/events", json={**vote, "id": "import-1"}).status_code == 422
    label = {"id": "l", "type": "label", "row": "0" * 64, "label": 1}
    assert alice.post("/api/v1/events", json=label).status_code == 403
    assert alice.post("/api/v1/events", json={"id": "e", "type": "erase", "rater": "carol"}).status_code == 403
    now = time.time
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now() + 3_700)
    expired = alice.post("/api/v1/events", json=vote)
    assert (expired.status_code, "expired" in expired.text) == (403, True)
    monkeypatch.undo()
    assert alice.post("/api/v1/events", json=vote).json()["stored"] == 1
    assert alice.post("/api/v1/events", json=vote).json()["known"] == 1
    assert alice.post("/api/v1/events", json={**vote, "value": -1}).status_code == 409


def test_a_vote_of_yesterday_or_tomorrow_is_of_when_the_picture_was_shown_or_of_now(studio: Studio) -> None:
    visitor = studio.client()
    for at, name in (("2020-01-01T00:00:00Z", "early"), ("2099-01-01T00:00:00Z", "late"), ("no time", "none")):
        began = time.time()
        (sample,) = generate(visitor)
        visitor.post("/api/v1/events", json=vote_on(sample, name, at=at))
        assert began - 1 <= studio.service.store.find([name])[name].at.timestamp() <= time.time()


def test_who_asks_too_often_waits(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor, shop = studio.client(), studio.client(WRITER)
    gate = guard_of(studio)
    monkeypatch.setattr(gate, "of_visitor", middleware.RateLimitItemPerMinute(3))
    statuses = [visitor.get("/api/v1/stats").status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    assert 1 <= int(visitor.get("/api/v1/stats").headers["retry-after"]) <= 60
    assert visitor.get("/healthz").status_code == 200
    assert {shop.get("/api/v1/stats").status_code for _ in range(10)} == {200}


def guard_of(studio: Studio) -> Any:
    found = studio.app.middleware_stack
    while not isinstance(found, middleware.RequestGuard):
        found = found.app  # type: ignore[union-attr]
    return found


def test_a_body_that_does_not_come_is_not_waited_for(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(middleware, "PATIENCE", 0.3)
    with socket.create_connection(("127.0.0.1", studio.port)) as slow:
        slow.sendall(
            f"POST /api/v1/generate HTTP/1.1\r\nHost: 127.0.0.1:{studio.port}\r\nContent-Length: 100\r\n\r\nx".encode()
        )
        assert slow.recv(100).startswith(b"HTTP/1.1 408 ")


# Images


def png(image: Image.Image, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, options.pop("format", "PNG"), **options)
    return content.getvalue()


def noise(side: int = 32, mode: str = "RGB") -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)).convert(mode)


def header(width: int, height: int) -> bytes:
    """A PNG that says it is so large, and has no pixels."""
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [ihdr, b"IDAT" + zlib.compress(b""), b"IEND"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in chunks
    )


def bomb(kind: bytes, before: bytes = b"a\0\0") -> bytes:
    chunk = kind + before + zlib.compress(b"0" * 80_000_000)
    data = png(noise())
    return data[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


def bad_crc() -> bytes:
    data = bytearray(png(noise()))
    data[40] ^= 1
    return bytes(data)


def frames(kind: str) -> bytes:
    return png(noise(), format=kind, save_all=True, append_images=[noise(mode="L").convert("RGB")] * 3)


def gif(count: int) -> bytes:
    """So many frames of one pixel."""
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0" * 6 + frame * count + b"\x3b"


REFUSED: dict[str, tuple[Callable[[], bytes], int]] = {
    "SVG with a script": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>', 415),
    "TIFF": (lambda: png(noise(), format="TIFF"), 415),
    "EPS": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n" + b"0" * 100, 415),
    "PDF": (lambda: b"%PDF-1.7\n" + b"0" * 100, 415),
    "ICO": (lambda: png(noise(), format="ICO"), 415),
    "GIF": (lambda: png(noise(), format="GIF"), 415),
    "GIF of 10,000 frames": (lambda: gif(10_000), 415),
    "HTML": (lambda: b"<html><script>alert(1)</script></html>" * 3, 415),
    "random bytes": (lambda: np.random.default_rng(1).bytes(5_000), 415),
    "zero bytes": (lambda: b"", 422),
    "half a PNG": (lambda: png(noise())[:1000], 422),
    "a PNG without its end": (lambda: png(noise())[:-12], 422),
    "a cut JPEG": (lambda: png(noise(), format="JPEG")[:-200], 422),
    "0 x 0": (lambda: header(0, 0), 422),
    "a bad CRC": (bad_crc, 422),
    "an animated WebP": (lambda: frames("WEBP"), 422),
    "an animated PNG": (lambda: frames("PNG"), 422),
    "a header of 60000 x 60000": (lambda: header(60_000, 60_000), 413),
    "88 megapixels of one colour": (lambda: png(Image.new("1", (9_400, 9_400))), 413),
    "200000 x 1": (lambda: png(Image.new("L", (200_000, 1))), 413),
    "11 MB": (lambda: png(noise()) + b"0" * 11_000_000, 413),
    "a bomb of text": (lambda: bomb(b"zTXt"), 413),
    "a bomb of international text": (lambda: bomb(b"iTXt", b"a\0\1\0en\0a\0"), 413),
    "a bomb of a colour profile": (lambda: bomb(b"iCCP"), 422),
}

TAKEN: dict[str, Callable[[], bytes]] = {
    "CMYK": lambda: png(noise().convert("CMYK"), format="JPEG"),
    "16 bit": lambda: png(Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32) * 64)),
    "a palette with transparency": lambda: png(noise().quantize(16), transparency=3),
    "1 bit": lambda: png(noise().convert("1")),
    "PNG and ZIP at once": lambda: png(noise()) + b"PK\3\4" + b"0" * 500,
    "a script in a comment": lambda: png(noise(), format="JPEG", comment=b"<script>alert(1)</script>"),
    "WebP": lambda: png(noise(), format="WEBP"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_image_is_refused(shared_studio: Studio, name: str) -> None:
    make, status = REFUSED[name]
    data, visitor = make(), shared_studio.client()
    with bounded():
        answer = visitor.post("/give", files={"image": ("../<b>x.png", data, "image/png")}, data={"label": "a"})
    assert answer.status_code == status
    assert not list(shared_studio.project.uploads.glob("*"))
    assert "<b>x" not in answer.text
    sent = {"id": "u", "type": "upload", "image": base64.b64encode(data).decode()}
    assert shared_studio.client(PRODUCT).post("/api/v1/events", json=sent).status_code == status
    assert not list(shared_studio.project.uploads.glob("*"))


@pytest.mark.parametrize("name", TAKEN)
def test_an_image_is_taken_and_nothing_but_its_pixels_is_kept(studio: Studio, name: str) -> None:
    visitor = studio.client()
    answer = visitor.post("/give", files={"image": ("x.png", TAKEN[name](), "image/png")}, data={"label": "b"})
    assert answer.status_code == 200
    assert "Thank you: 1 kept." in answer.text
    (stored,) = studio.project.uploads.glob("*")
    content = stored.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert b"script" not in content
    assert b"PK\3\4" not in content
    (event,) = studio.service.store.events_outside("upload", [])
    assert (event.image, event.label) == (stored.name, 1)


def test_a_photograph_is_turned_as_it_says_and_its_place_is_gone(studio: Studio) -> None:
    image, exif = Image.new("RGB", (40, 20), "red"), Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[1] = "N"
    exif[0x8825] = {1: "N"}
    studio.client().post("/give", files={"image": ("x.jpg", png(image, format="JPEG", exif=exif), "image/jpeg")})
    (stored,) = studio.project.uploads.glob("*")
    with Image.open(stored) as kept:
        assert kept.size == (20, 40)
        assert not kept.getexif()


def test_forms_are_limited_too(studio: Studio) -> None:
    visitor = studio.client()
    parts = [("image", ("x.png", b"0", "image/png"))] * 1_001
    assert visitor.post("/give", files=parts).status_code == 413
    assert visitor.post("/give", data={"image": "0" * 20_000_000}).status_code in (413, 415)
    assert visitor.post("/give", files={"image": ("x.png", b"0")}, data={"label": "0" * 100_000}).status_code == 413
    assert visitor.post("/give", files={"other": ("x.png", b"0")}).status_code == 422
    assert json.loads(post(studio.client(PRODUCT), "[]", "/api/v1/events").text)["stored"] == 0
