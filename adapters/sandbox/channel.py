"""A socket between two processes of this machine that carries JSON, and file descriptors."""

from __future__ import annotations

import array
import json
import select
import socket
import struct
from typing import Any, Optional, Tuple

_LENGTH = struct.Struct("!I")


class Channel:
    """One end of a pair of sockets; whoever holds the other end sees its closing."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    @classmethod
    def pair(cls) -> Tuple[Channel, Channel]:
        """Return both ends of a new link."""
        ours, theirs = socket.socketpair()
        return cls(ours), cls(theirs)

    @classmethod
    def of(cls, descriptor: int) -> Channel:
        """Return the end that *descriptor* is."""
        return cls(socket.socket(fileno=descriptor))

    def fileno(self) -> int:
        """Return the descriptor, which select takes."""
        return self._end.fileno()

    def send(self, message: Any) -> None:
        """
        Send what JSON can hold.

        :raises OSError: nobody is at the other end.
        """
        data = json.dumps(message).encode()
        self._end.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self, seconds: Optional[float] = None) -> Any:
        """
        Return the next message.

        :raises EOFError: the other end is closed.
        :raises TimeoutError: none came within *seconds*.
        """
        self._end.settimeout(seconds)
        try:
            (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
            return json.loads(self._exactly(length))
        except socket.timeout as exc:
            raise TimeoutError from exc
        except ConnectionError as exc:
            raise EOFError from exc

    def has_more(self, seconds: float) -> bool:
        """Wait for something to be received, or for the other end to be closed; return whether that came about."""
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def pass_on(self, other: Channel, word: bytes) -> None:
        """Send the socket *other*, with one byte, to the process at the other end."""
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [other.fileno()]))
        self._end.sendmsg([word], [rights])

    def take_over(self) -> Optional[Tuple[Channel, bytes]]:
        """Return the link that the far end passes on, and its word, or None where it is closed."""
        descriptors = array.array("i")
        try:
            word, ancillary, *_ = self._end.recvmsg(1, socket.CMSG_SPACE(descriptors.itemsize))
        except ConnectionError:
            # It was closed before it had read all that was sent to it.
            return None
        for level, kind, passed in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(passed)
        return (Channel.of(descriptors[0]), word) if word and descriptors else None

    def close(self) -> None:
        """Close this end."""
        self._end.close()

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._end.recv(min(size - len(data), 1 << 20))
            if not part:
                raise EOFError
            data += part
        return data
