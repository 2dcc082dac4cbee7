"""HTTP/2 frames by hand, for what no gRPC client would send."""
import socket
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
MAX_FRAME_BYTES = 1 << 14
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def integer(value, bits=7):
    """HPACK's, with `bits` bits in its first byte."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([value])
    encoded, value = [most], value - most
    while value >= 128:
        encoded.append(value % 128 + 128)
        value //= 128
    return bytes(encoded + [value])


def field(name, value):
    """A header field as it is, neither indexed nor Huffman-coded."""
    name, value = name.encode(), value.encode()
    return b"\0" + integer(len(name)) + name + integer(len(value)) + value


def request(method, *more):
    """The header block of an RPC; `method` is like gradd.v1.RunService/GetRun."""
    fields = ((":method", "POST"), (":scheme", "http"), (":path", f"/{method}"),
              (":authority", "test"), ("te", "trailers"), ("content-type", "application/grpc"))
    return b"".join(field(*f) for f in fields + more)


def message(data, compressed=False):
    return struct.pack(">BI", compressed, len(data)) + data


class Connection:
    """The client's side of one connection, after the preface and empty settings."""

    def __init__(self, address, timeout=60):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.socket.sendall(PREFACE + frame(SETTINGS))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *frames):
        self.socket.sendall(b"".join(frames))

    def call(self, stream, method, *messages, more=()):
        """Begins an RPC and sends its messages, all of them: 64 KiB at most."""
        data = b"".join(messages)
        self.send(frame(HEADERS, END_HEADERS, stream, request(method, *more)),
                  *(frame(DATA, 0, stream, data[at:at + MAX_FRAME_BYTES])
                    for at in range(0, len(data), MAX_FRAME_BYTES)),
                  frame(DATA, END_STREAM, stream))

    def frames(self):
        """What the server sends, as (kind, flags, stream, payload), until it closes."""
        data = b""
        while True:
            while len(data) >= 9 and len(data) >= 9 + (size := int.from_bytes(data[:3], "big")):
                yield data[3], data[4], int.from_bytes(data[5:9], "big"), data[9:9 + size]
                data = data[9 + size:]
            try:
                more = self.socket.recv(1 << 16)
            except ConnectionError:
                return
            if not more:
                return
            data += more
