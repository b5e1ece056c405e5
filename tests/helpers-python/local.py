"""A server of one's own, and the official helper library against it.

Only scheme, host and port of the library's requests change.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from urllib.parse import urlsplit, urlunsplit

from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

READY_SECONDS = 15
END_SECONDS = 5


class Server:
    """`tertulia dev` on a free port, ended by its own process id."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tertulia-test-"))
        env_file = self.folder / "env"
        command = [os.environ["TERTULIA_BIN"], "dev", "--ephemeral", "--port", "0", "--env-file", str(env_file)]
        with open(self.folder / "log", "wb") as log:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        deadline = time.monotonic() + READY_SECONDS
        while not env_file.exists():
            if self.child.poll() is not None or time.monotonic() > deadline:
                self.child.kill()
                raise RuntimeError(f"the server did not become ready\n{self.log()}")
            time.sleep(0.005)
        self.env = dict(re.findall(r"^([A-Z_0-9]+)='(.*)'$", env_file.read_text(), re.MULTILINE))
        self.url = self.env["TERTULIA_URL"]
        self.account = self.env["TWILIO_ACCOUNT_SID"]
        self.auth_token = self.env["TWILIO_AUTH_TOKEN"]
        self.key = self.env["TWILIO_API_KEY"]
        self.secret = self.env["TWILIO_API_SECRET"]
        self.service = self.env["TWILIO_CHAT_SERVICE_SID"]

    def log(self):
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def stop(self):
        try:
            self.child.send_signal(signal.SIGTERM)
            code = self.child.wait(END_SECONDS)
            if code != 0 or "panicked at" in self.log():
                raise RuntimeError(f"the server ended with {code}\n{self.log()}")
        finally:
            self.child.kill()
            self.child.wait()
            shutil.rmtree(self.folder, ignore_errors=True)


class LocalHttpClient(TwilioHttpClient):
    """Sends every request to one origin and remembers it."""

    def __init__(self, origin):
        super().__init__(timeout=10)
        self.origin = urlsplit(origin)
        self.requests = []

    def request(self, method, url, *args, **kwargs):
        parts = urlsplit(url)
        local = urlunsplit((self.origin.scheme, self.origin.netloc, parts.path, parts.query, ""))
        self.requests.append((method.upper(), local))
        return super().request(method, local, *args, **kwargs)


class LocalTestCase(unittest.TestCase):
    """A server for each test, and the library as the server's account."""

    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.stop)
        self.client = self.library()
        self.chat = self.client.conversations.v1

    def library(self, username=None, password=None):
        client = Client(
            username or self.server.account,
            password or self.server.auth_token,
            self.server.account,
            http_client=LocalHttpClient(self.server.url),
        )
        self.addCleanup(client.http_client.session.close)
        return client

    def assertRefused(self, status, code, call, *args, **kwargs):
        with self.assertRaises(TwilioException) as raised:
            call(*args, **kwargs)
        error = raised.exception
        if type(error) is TwilioException:
            # For a page of a list the library hands over the whole answer.
            words, response = error.args
            body = json.loads(response.text)
            expected = ("Unable to fetch page", status, code, status)
            self.assertEqual((words, response.status_code, body["code"], body["status"]), expected)
            return error
        self.assertIs(type(error), TwilioRestException)
        self.assertEqual((error.status, error.code), (status, code), error.msg)
        self.assertTrue(error.msg)
        return error

    def assertSid(self, prefix, sid):
        self.assertRegex(sid, f"^{prefix}[0-9a-f]{{32}}$")
