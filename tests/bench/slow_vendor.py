"""A Skarabee that says OK to everything after so many milliseconds; asyncio, so that it costs little.

With a second argument, a file, it writes there when each request was received: microseconds of CLOCK_MONOTONIC.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time

BODY = b'{"Message":"","Status":"OK"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


async def main(milliseconds: float, receipts: str) -> None:
    file = open(receipts, "w", buffering=1) if receipts else None  # noqa: SIM115 (open as long as we run)

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                if file is not None:
                    print(time.monotonic_ns() // 1000, file=file)
                if milliseconds:
                    await asyncio.sleep(milliseconds / 1000)
                writer.write(ANSWER)
        writer.close()

    server = await asyncio.start_server(session, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(float(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""))
