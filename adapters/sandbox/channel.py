"""A socket between two processes of one host, which sends JSON."""

from __future__ import annotations

import json
import select
import socket
import struct
from typing import Any, Optional

_LENGTH = struct.Struct("!I")


class Channel:
    """One end of a connection. The process at the other end notices when it closes, or when its process ends."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def fileno(self) -> int:
        """Return the file descriptor, for ``select``."""
        return self._end.fileno()

    def send(self, message: object) -> None:
        """
        Send a message, which is JSON.

        :raises OSError: the other end is closed.
        """
        data = json.dumps(message).encode()
        self._end.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self, seconds: Optional[float] = None) -> Any:
        """
        Wait for the next message and return it.

        :param seconds: the timeout; None waits for ever.
        :raises EOFError: the other end is closed.
        :raises TimeoutError: no message arrived in time.
        """
        self._end.settimeout(seconds)
        try:
            (length,) = _LENGTH.unpack(self._receive_exactly(_LENGTH.size))
            return json.loads(self._receive_exactly(length))
        except socket.timeout as exc:
            raise TimeoutError from exc
        except ConnectionError as exc:
            raise EOFError from exc

    def has_more(self, seconds: float) -> bool:
        """Wait up to *seconds* for a message or for the other end to close; return whether one of them happened."""
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def close(self) -> None:
        """Close this end."""
        self._end.close()

    def _receive_exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._end.recv(min(size - len(data), 1 << 20))
            if not part:
                raise EOFError
            data += part
        return data
