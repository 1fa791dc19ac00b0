"""A socket between two processes of one host, which sends JSON and file descriptors."""

from __future__ import annotations

import array
import json
import select
import socket
import struct
from typing import Any, Optional, Tuple

_LENGTH = struct.Struct("!I")


class Channel:
    """One end of a pair of sockets. The process at the other end notices when it closes, or when its process ends."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    @classmethod
    def pair(cls) -> Tuple[Channel, Channel]:
        """Create a channel and return both ends."""
        ours, theirs = socket.socketpair()
        return cls(ours), cls(theirs)

    @classmethod
    def from_descriptor(cls, descriptor: int) -> Channel:
        """Return the end that has this file descriptor."""
        return cls(socket.socket(fileno=descriptor))

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

    def send_channel(self, other: Channel, word: bytes) -> None:
        """Send the end of another channel, and one byte, to the process at the other end."""
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [other.fileno()]))
        self._end.sendmsg([word], [rights])

    def receive_channel(self) -> Optional[Tuple[Channel, bytes]]:
        """Wait for a :meth:`send_channel` and return its channel and its byte, or None if the other end is closed."""
        descriptors = array.array("i")
        try:
            word, ancillary, *_ = self._end.recvmsg(1, socket.CMSG_SPACE(descriptors.itemsize))
        except ConnectionError:
            # The other end was closed with unread data, which resets the connection.
            return None
        for level, kind, passed in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(passed)
        return (Channel.from_descriptor(descriptors[0]), word) if word and descriptors else None

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
