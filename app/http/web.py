"""The web client's files, as `app/web` was built: the page at `/`, everything else by its name.

What is served is the list of files that was there at the start, so no path leads elsewhere. Files under `assets/` are
named by their content and never change; the rest is asked for anew each time, and answered 304. Beside each lie its
Brotli and gzip forms, made at build time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from mimetypes import guess_type
from pathlib import Path
from urllib.parse import urlsplit

from flask import Blueprint, Response, request

from app.errors import NotFound
from app.http.contract import operation

DIST = Path(__file__).parent.parent / "web" / "dist"
ENCODINGS = {"br": ".br", "gzip": ".gz"}
"""By preference: the smaller first."""
TYPES = {".js": "text/javascript", ".wasm": "application/wasm", ".webmanifest": "application/manifest+json"}
"""Not left to the machine's own list: browsers refuse scripts and WebAssembly of another type."""
_NAME = r"<regex('(?:assets/)?[A-Za-z0-9_.-]{1,128}\.(?:html|js|css|wasm|svg|webmanifest)'):name>"


@dataclass(frozen=True, slots=True)
class File:
    """One file of the build. `forms` are its encoded neighbours by content coding."""

    path: Path
    mimetype: str
    etag: str
    forms: dict[str, Path]
    unchanging: bool


def blueprint(cdn_url: str | None, folder: Path = DIST) -> Blueprint:
    """The client's files in `folder`; pictures and attachments may come from `cdn_url`."""
    bp = Blueprint("web", __name__)
    files = _files(folder)
    policy = content_security_policy(cdn_url)

    def send(name: str) -> Response:
        file = files.get(name)
        if file is None:
            why = "there is no such file" if files else "the web client is not built here: make setup builds it"
            raise NotFound(why)
        return _answer(file, policy)

    @bp.get("/")
    @operation(who="anybody", gives=bytes, media_type="text/html", errors=(NotFound,), more={304: "The caller has it."})
    def page() -> Response:
        """The web client."""
        return send("index.html")

    @bp.get(f"/{_NAME}")
    @operation(who="anybody", gives=bytes, media_type="*/*", errors=(NotFound,), more={304: "The caller has it."})
    def file(name: str) -> Response:
        """A file of the web client."""
        return send(name)

    return bp


def content_security_policy(cdn_url: str | None) -> str:
    """Scripts and styles of our own files only; nothing inline, nobody may frame the page.

    `'wasm-unsafe-eval'` lets WebAssembly be compiled, which the encryption is, and no text be run as script.
    `'self'` stands for the socket, too (CSP level 3, section 6.7.2.8). The QR code is drawn by the server and shown as
    `data:`, pictures that were decrypted here are `blob:`.

    >>> "unsafe-inline" in content_security_policy(None)
    False
    """
    cdn = f" {_origin(cdn_url)}" if cdn_url else ""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self' 'wasm-unsafe-eval'",
            "style-src 'self'",
            f"img-src 'self' blob: data:{cdn}",
            "media-src 'self' blob:",
            f"connect-src 'self'{cdn}",
            "manifest-src 'self'",
            "worker-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _files(folder: Path) -> dict[str, File]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix in ENCODINGS.values() or path.name.startswith("."):
            continue
        name = path.relative_to(folder).as_posix()
        unchanging = name.startswith("assets/")
        etag = path.name if unchanging else hashlib.sha256(path.read_bytes()).hexdigest()[:32]
        neighbours = {coding: path.with_name(path.name + suffix) for coding, suffix in ENCODINGS.items()}
        forms = {coding: form for coding, form in neighbours.items() if form.is_file()}
        mimetype = TYPES.get(path.suffix) or guess_type(path.name)[0] or "application/octet-stream"
        found[name] = File(path, mimetype, etag, forms, unchanging)
    return found


def _answer(file: File, policy: str) -> Response:
    coding = next((coding for coding in file.forms if request.accept_encodings.quality(coding) > 0), None)
    etag = f"{file.etag}-{coding}" if coding else file.etag  # strong: another coding is another representation
    known = request.if_none_match.contains(etag)
    path = file.forms[coding] if coding else file.path
    response = Response(b"" if known else path.read_bytes(), 304 if known else 200, mimetype=file.mimetype)
    response.set_etag(etag)
    response.vary.add("Accept-Encoding")
    if coding and not known:
        response.headers["Content-Encoding"] = coding
    headers = response.headers
    headers["Cache-Control"] = "public, max-age=31536000, immutable" if file.unchanging else "no-cache"
    headers["Content-Security-Policy"] = policy
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers["Permissions-Policy"] = "camera=(self), microphone=(self), geolocation=()"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return response
