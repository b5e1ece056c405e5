"""Access Tokens of the official library at the door."""

import base64
import json
import os
import socket
import struct
import time
import unittest
from urllib.parse import urlsplit

from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import ChatGrant, SyncGrant, VideoGrant, VoiceGrant

from local import LocalTestCase

PATIENCE_SECONDS = 10


class Wire:
    """Just enough of a websocket to send one `init` and read its reply."""

    def __init__(self, uri):
        parts = urlsplit(uri)
        self.socket = socket.create_connection((parts.hostname, parts.port), PATIENCE_SECONDS)
        self.stream = self.socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        status = self.stream.readline()
        while self.stream.readline().strip():
            pass
        if b" 101 " not in status:
            raise RuntimeError(f"no websocket: {status!r}")

    def init(self, token):
        """The status of the reply to `init` with this token."""
        header = json.dumps({"id": "TM1", "method": "init", "token": token, "payload_size": 0}).encode()
        packet = b"TWILSOCK V3.0 %d\r\n%s\r\n" % (len(header), header)
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(packet))
        self.socket.sendall(struct.pack("!BBH", 0x82, 0x80 | 126, len(packet)) + mask + masked)
        while True:
            first, length = self.stream.read(2)
            if length == 126:
                (length,) = struct.unpack("!H", self.stream.read(2))
            data = self.stream.read(length)
            if first == 0x82:
                break
        line, rest = data.split(b"\r\n", 1)
        reply = json.loads(rest[: int(line.split(b" ")[2])])
        assert (reply["method"], reply["id"]) == ("reply", "TM1"), reply
        return reply["status"]

    def close(self):
        self.stream.close()
        self.socket.close()


class Tokens(LocalTestCase):
    def mint(self, identity, *, key=None, secret=None, service=None, chat=True, **options):
        server = self.server
        token = AccessToken(server.account, key or server.key, secret or server.secret, identity=identity, **options)
        if chat:
            token.add_grant(ChatGrant(service_sid=service or server.service))
        return token

    def status(self, token):
        wire = Wire(self.server.env["TERTULIA_TWILSOCK_URI"])
        try:
            return wire.init(token)
        finally:
            wire.close()

    def test_tokens_of_the_library_are_accepted(self):
        more = self.mint("alice", region="us1", ttl=86_400)
        for grant in (SyncGrant(self.server.service), VideoGrant(room="r"), VoiceGrant(incoming_allow=True)):
            more.add_grant(grant)
        tokens = [self.mint("alice"), self.mint("user@some-domain.com"), self.mint("名前 ☕"), self.mint(42), more]
        tokens.append(self.mint("alice", valid_until=int(time.time()) + 600))
        for token in tokens:
            self.assertEqual(self.status(token.to_jwt())["code"], 200, token.identity)

    def test_wrong_tokens_get_the_documented_code(self):
        now = int(time.time())
        wrong = [
            (20104, self.mint("alice", valid_until=now - 60)),
            (20105, self.mint("alice", nbf=now + 600)),
            (20157, self.mint("alice", ttl=200_000)),
            (20107, self.mint("alice", secret=self.server.auth_token)),
            (20103, self.mint("alice", key="SK" + "9" * 32)),
            (20106, self.mint("alice", service="IS" + "9" * 32)),
            (20106, self.mint("alice", chat=False)),
            (20106, self.mint(None)),
            (51003, self.mint("x" * 257)),
        ]
        for code, token in wrong:
            status = self.status(token.to_jwt())
            self.assertEqual((status["code"], status.get("errorCode")), (401, code))

    def test_a_key_made_over_rest_signs_tokens_until_it_is_deleted(self):
        key = self.client.new_keys.create(friendly_name="signer")
        token = self.mint("alice", key=key.sid, secret=key.secret).to_jwt()
        self.assertEqual(self.status(token)["code"], 200)
        self.client.keys(key.sid).delete()
        self.assertEqual(self.status(token).get("errorCode"), 20103)


if __name__ == "__main__":
    unittest.main()
