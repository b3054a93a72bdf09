"""One product in pages, from memory: `python -m tests.benchmarks.page_server SNAPSHOT` prints its address, and serves.

Every device of the snapshot is of this product here. `/count` says how many requests there were for pages.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

PRODUCT = 20001
PAGE_SIZE_MAX = 1000


def main() -> None:
    """Serve until standard input ends."""
    devices = json.loads(Path(sys.argv[1]).read_bytes())["devices"]
    encoded = [json.dumps(device | {"product_id": PRODUCT}) for device in sorted(devices, key=lambda each: each["id"])]
    asked = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # http.server looks for this name
            nonlocal asked
            parts = urlsplit(self.path)
            if parts.path == "/count":
                body = str(asked)
            elif parts.path.endswith("/devices"):
                asked += 1
                query = parse_qs(parts.query)
                size, number = min(int(query["perPage"][0]), PAGE_SIZE_MAX), int(query["page"][0])
                meta = {"total_pages": -(-len(encoded) // size), "total": len(encoded)}
                shown = ",".join(encoded[(number - 1) * size : number * size])
                body = f'{{"devices":[{shown}],"customers":[],"meta":{json.dumps(meta)}}}'
            elif parts.path.endswith("/firmware"):
                body = "[]"
            else:
                body = json.dumps({"product": {"id": PRODUCT, "slug": "big"}})
            self.send_response_only(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
