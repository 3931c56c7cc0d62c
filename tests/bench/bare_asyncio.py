"""The baseline: a FastAGI server in bare asyncio that sets one variable and does nothing else."""

from __future__ import annotations

import asyncio
import contextlib


async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        await reader.readuntil(b"\n\n")
        writer.write(b'SET VARIABLE BARESTATUS "OK"\n')
        await reader.readline()
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(session, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
