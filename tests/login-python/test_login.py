"""The FastAPI, Django and Caddy examples of docs/tokens.md, as they stand there, in front of a server of one's own."""

import base64
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
import urllib.error
import urllib.request

DOCS = (pathlib.Path(__file__).parents[2] / "docs" / "tokens.md").read_text()
READY_SECONDS = 20
END_SECONDS = 5


def example(name):
    """An example of docs/tokens.md by its name."""
    found = re.search(rf"^ *<!-- example: {re.escape(name)} -->\n( *)```.*\n([\s\S]*?)\n\1```$", DOCS, re.MULTILINE)
    if found is None:
        raise KeyError(f"docs/tokens.md has no example {name}")
    return textwrap.dedent(found[2]) + "\n"


def call(url, method="POST", **headers):
    """Status and body; headers are written with underscores."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, method=method, headers=names)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers


def free_port():
    """A port that nobody listens on now: Caddy is told its port in the configuration."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class LoginTestCase(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tertulia-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def start(self, command, ready, **environment):
        """A process of one's own that ends with the test, once `ready` gives something."""
        path = self.folder / f"log-{len(list(self.folder.iterdir()))}"
        self.log = path
        with open(path, "wb") as log:
            child = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **environment},
            )
        self.addCleanup(self.end, child)
        deadline = time.monotonic() + READY_SECONDS
        while not (found := ready(path.read_text(errors="replace"))):
            if child.poll() is not None or time.monotonic() > deadline:
                self.fail(f"{command[0]} did not become ready\n{path.read_text(errors='replace')[-3000:]}")
            time.sleep(0.005)
        return found

    def end(self, child):
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(END_SECONDS)
        finally:
            child.kill()
            child.wait()

    def tertulia(self, config):
        (self.folder / "tertulia.toml").write_text(config)
        env_file = self.folder / "env"
        command = [
            os.environ["TERTULIA_BIN"], "dev", "--ephemeral", "--port", "0", "--config", "tertulia.toml",
            "--env-file", str(env_file),
        ]
        self.start(command, lambda _: env_file.exists())
        return re.search(r"^TERTULIA_URL='(.*)'$", env_file.read_text(), re.MULTILINE)[1]


class FastApi(LoginTestCase):
    def test_a_session_of_a_fastapi_app_comes_in(self):
        (self.folder / "fastapi_app.py").write_text(example("fastapi_app.py"))
        command = [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--port", "0"]
        running = re.compile(r"running on (http://127\.0\.0\.1:\d+)")
        url = self.start(command, running.search, SESSION_SECRET="a secret for tests only")[1]
        server = self.tertulia(example("app.toml").replace("http://127.0.0.1:3000", url))
        self.assertEqual(call(f"{server}/token")[0], 401)
        self.assertEqual(call(f"{server}/token", Cookie="session=nonsense")[0], 401)
        _, _, headers = call(f"{url}/login/ana")
        status, body, headers = call(f"{server}/token", Cookie=headers["set-cookie"].split(";")[0])
        self.assertEqual(status, 200, body)
        self.assertEqual(headers["cache-control"], "no-store")
        self.assertEqual(json.loads(body)["identity"], "ana")


class Django(LoginTestCase):
    """Django as it runs in production: it answers to one host, and forces HTTPS."""

    def app(self):
        """The app's address, and the cookie of somebody who is logged in."""
        (self.folder / "django_app.py").write_text(example("django_app.py"))
        command = [sys.executable, "-m", "uvicorn", "django_app:app", "--port", "0"]
        running = re.compile(r"running on (http://127\.0\.0\.1:\d+)")
        url = self.start(command, running.search, SESSION_SECRET="a secret for tests only")[1]
        status, _, headers = call(f"{url}/login/ana", Host="app.example.com", X_Forwarded_Proto="https")
        self.assertEqual(status, 204)
        return url, headers["set-cookie"].split(";")[0]

    def source(self, url, headers):
        text = example("django.toml").replace("http://127.0.0.1:3000", url)
        return re.sub(r"^headers = .*$", headers, text, flags=re.MULTILINE)

    def refused(self, url, cookie, headers, status, words):
        server = self.tertulia(self.source(url, headers))
        found, body, _ = call(f"{server}/token", Cookie=cookie)
        self.assertEqual(found, status, body)
        self.assertNotIn("example.com", body)
        deadline = time.monotonic() + END_SECONDS
        while "refused" not in (text := self.log.read_text()) and time.monotonic() < deadline:
            time.sleep(0.005)
        for word in words:
            self.assertIn(word, text)
        self.assertNotIn(cookie.split("=")[1], text)

    def test_a_session_of_django_comes_in_with_its_host_and_https(self):
        url, cookie = self.app()
        server = self.tertulia(example("django.toml").replace("http://127.0.0.1:3000", url))
        status, body, _ = call(f"{server}/token", Cookie=cookie)
        self.assertEqual((status, json.loads(body).get("identity")), (200, "ana"), body)
        self.assertEqual(call(f"{server}/token", Cookie="sessionid=nonsense")[0], 401)
        # What the caller sends in these headers never reaches the app.
        status, _, _ = call(f"{server}/token", Cookie=cookie, X_Forwarded_Proto="http", Host="evil.example")
        self.assertEqual(status, 200)

    def test_a_host_that_django_does_not_allow_is_named(self):
        url, cookie = self.app()
        words = ["status of the answer: found 400", f"the header Host was {url.removeprefix('http://')}"]
        self.refused(url, cookie, "", 503, words)

    def test_the_redirect_to_https_is_named_with_its_target(self):
        url, cookie = self.app()
        words = ["redirect: found 301 to https://app.example.com/me", "send the header X-Forwarded-Proto"]
        self.refused(url, cookie, 'headers = { Host = "app.example.com" }', 502, words)


class Caddy(LoginTestCase):
    def test_a_user_of_a_plain_reverse_proxy_comes_in(self):
        caddy = shutil.which("caddy") or shutil.which("caddyserver")
        hashed = subprocess.run(
            [caddy, "hash-password", "--plaintext", "open sesame"], capture_output=True, text=True, check=True
        ).stdout.strip()
        server = self.tertulia(example("proxy.toml"))
        (self.folder / "Caddyfile").write_text("{\n\tadmin off\n}\n" + example("Caddyfile"))
        port = free_port()
        url = f"http://127.0.0.1:{port}"

        def listens(_):
            try:
                return call(f"{url}/healthz", "GET")[0] == 200
            except OSError:
                return False

        self.start(
            [caddy, "run", "--config", "Caddyfile"], listens, PORT=str(port), TERTULIA=server.removeprefix("http://"),
            USER_NAME="ana", USER_HASH=hashed, XDG_DATA_HOME=str(self.folder), XDG_CONFIG_HOME=str(self.folder),
        )
        self.assertEqual(call(f"{url}/token")[0], 401)
        ana = "Basic " + base64.b64encode(b"ana:open sesame").decode()
        status, body, _ = call(f"{url}/token", Authorization=ana)
        self.assertEqual(status, 200, body)
        self.assertEqual(json.loads(body)["identity"], "ana")
        # What the client says of itself is replaced.
        status, body, _ = call(f"{url}/token", Authorization=ana, X_Forwarded_User="root")
        self.assertEqual((status, json.loads(body)["identity"]), (200, "ana"))
        # Without its cookie's origin a page of somebody else is not served.
        self.assertEqual(call(f"{url}/token", Authorization=ana, Origin="https://evil.example")[0], 403)
        self.assertEqual(call(f"{url}/token", Authorization=ana, Origin=url)[0], 200)


if __name__ == "__main__":
    unittest.main()
