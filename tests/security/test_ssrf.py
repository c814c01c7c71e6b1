"""Webhooks go to public hosts on our list, to the very address that was checked, and no further."""

import datetime as dt
import hashlib
import hmac
import http.server
import ipaddress
import json
import ssl
import threading
import time
from contextlib import suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from accounts.domain import webhook_targets
from accounts.domain.webhook_targets import TargetRefused, check_address, read_target
from robo.common import outbound
from robo.common.outbound import OutboundFailed, Route, post

HOST = "hooks.example.com"
ALLOWED = [HOST, ".partners.example"]

HOSTILE = [
    "",
    "hooks.example.com",
    "http://hooks.example.com/",
    "ftp://hooks.example.com/",
    "file:///etc/passwd",
    "gopher://hooks.example.com/",
    "javascript:alert(1)",
    "https://evil.example/",
    "https://hooks.example.com.evil.example/",
    "https://evilhooks.example.com/",
    "https://example.com/",
    "https://partners.example/",
    "https://evilpartners.example/",
    "https://user@hooks.example.com/",
    "https://user:secret@hooks.example.com/",
    "https://hooks.example.com@evil.example/",
    "https://evil.example\\@hooks.example.com/",
    "https://hooks.example.com\\.evil.example/",
    "https://hooks.example.com#@evil.example/",
    "https://hooks.example.com:22/",
    "https://hooks.example.com:8443/",
    "https://hooks.example.com:99999/",
    "https://hooks.example.com:0x1bb/",
    "https://127.0.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[fd00:ec2::254]/",
    "https://localhost/",
    "https://hooks.example.com./",
    "https://hooks..example.com/",
    "https://hooks.example.com /",
    " https://hooks.example.com/",
    "https://hooks.example.com/\r\nX-Evil: 1",
    "https://hooks.example.com/\x00",
    "https://h\u043e\u043eks.example.com/",  # two Cyrillic letters
    "https://hooks。example.com/",
    "https://①②⑦.⓪.⓪.①/",
    "https://" + "a" * 600 + ".partners.example/",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_urls_are_refused(url):
    with pytest.raises(TargetRefused):
        read_target(url, allowed_hosts=ALLOWED)


def test_there_are_at_least_thirty_hostile_urls():
    assert len(set(HOSTILE)) >= 30


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://hooks.example.com", HOST, "/"),
        ("https://HOOKS.example.com:443/a/b?c=d", HOST, "/a/b?c=d"),
        ("https://x.partners.example/in", "x.partners.example", "/in"),
        ("https://a.b.partners.example/%20", "a.b.partners.example", "/%20"),
    ],
)
def test_urls_on_the_list_are_read(url, host, path):
    target = read_target(url, allowed_hosts=ALLOWED)
    assert (target.host, target.port, target.path) == (host, 443, path)


def test_without_a_list_nothing_may_be_called():
    with pytest.raises(TargetRefused):
        read_target("https://hooks.example.com/", allowed_hosts=[])


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2001::7f00:1",
        "2001:db8::1",
        "2002:7f00:1::",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "nonsense",
        "",
    ],
)
def test_addresses_that_are_not_the_public_internet_are_refused(address):
    with pytest.raises(TargetRefused):
        check_address(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "1.1.1.1", "2606:4700:4700::1111"])
def test_public_addresses_may_be_called(address):
    check_address(address)


# --- A real receiver -----------------------------------------------------------------------------


def make_certificate(folder, name=HOST):
    """Write a certificate for one host, signed by itself, and its key; return both paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # OpenSSL asks the machine's own clock, which no test turns.
        .not_valid_before(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2120, 1, 1, tzinfo=dt.UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


class Receiver:
    """A server on this machine that answers as it is told, and remembers what it got."""

    def __init__(self, folder):
        self.calls, self.status, self.headers, self.drip_seconds = [], 200, {}, 0.0
        self.body = b"ok"
        self.certificate, key = make_certificate(folder)
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.calls.append((self.path, dict(self.headers), body))
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                for byte in receiver.body:
                    if receiver.drip_seconds:
                        time.sleep(receiver.drip_seconds)
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()

            def log_message(self, *_):
                pass

            def handle(self):
                with suppress(OSError):
                    super().handle()

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.certificate, key)
        self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.server.handle_error = lambda *_: None
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def trust(self):
        return ssl.create_default_context(cafile=str(self.certificate))

    def route(self, *, check=lambda _: None, resolve=lambda *_: ["127.0.0.1"]):
        return Route(check_address=check, resolve=resolve, tls=self.trust())


@pytest.fixture
def receiver(tmp_path, monkeypatch):
    one = Receiver(tmp_path)
    monkeypatch.setattr(webhook_targets, "PORT", one.port)
    yield one
    one.server.shutdown()
    one.server.server_close()


def send(receiver, route=None, host=HOST, body=b"{}"):
    return post(
        host=host,
        port=receiver.port,
        path="/in",
        body=body,
        headers={"X-Mine": "1"},
        route=route or receiver.route(),
    )


def test_a_receiver_gets_the_very_bytes_over_tls(receiver):
    assert send(receiver, body=b'{"a":1}') == 200
    [(path, headers, body)] = receiver.calls
    assert (path, body, headers["Host"]) == ("/in", b'{"a":1}', f"{HOST}:{receiver.port}")


def test_a_certificate_of_another_host_is_refused_and_nothing_is_sent(receiver):
    with pytest.raises(OutboundFailed, match="TLS"):
        send(receiver, host="other.example.com")
    assert receiver.calls == []


def test_a_certificate_that_nobody_signed_is_refused(receiver):
    route = Route(check_address=lambda _: None, resolve=lambda *_: ["127.0.0.1"])
    with pytest.raises(OutboundFailed, match="TLS"):
        send(receiver, route)
    assert receiver.calls == []


def test_a_redirect_is_not_followed(receiver):
    receiver.status = 302
    receiver.headers = {"Location": f"https://{HOST}:{receiver.port}/elsewhere"}
    assert send(receiver) == 302
    assert len(receiver.calls) == 1


def test_a_name_that_leads_inside_is_not_called(receiver):
    with pytest.raises(TargetRefused):
        send(receiver, receiver.route(check=check_address))
    assert receiver.calls == []


def test_one_private_address_among_public_ones_is_enough(receiver):
    route = receiver.route(check=check_address, resolve=lambda *_: ["1.1.1.1", "10.0.0.1"])
    with pytest.raises(TargetRefused):
        send(receiver, route)


def test_a_name_that_changes_its_mind_is_resolved_only_once(receiver, monkeypatch):
    """DNS rebinding: public when asked the first time, private from then on."""
    asked = []

    def resolve(*_):
        asked.append(1)
        return ["93.184.216.34"] if len(asked) == 1 else ["127.0.0.1"]

    called = []
    monkeypatch.setattr(
        outbound.socket,
        "create_connection",
        lambda address, **_: called.append(address) or (_ for _ in ()).throw(OSError("no net")),
    )
    with pytest.raises(OutboundFailed):
        send(receiver, receiver.route(check=check_address, resolve=resolve))
    assert called == [("93.184.216.34", receiver.port)]
    assert asked == [1]


def test_who_answers_byte_by_byte_is_cut_off(receiver, monkeypatch):
    monkeypatch.setattr(outbound, "TOTAL_SECONDS", 0.6)
    receiver.body, receiver.drip_seconds = b"x" * 1000, 0.1
    started = time.monotonic()
    # What was answered by then may have been enough.
    with suppress(OutboundFailed):
        send(receiver)
    assert time.monotonic() - started < 3


def test_an_endless_answer_is_read_only_so_far(receiver):
    receiver.body = b"x" * 200_000
    receiver.headers = {"Content-Length": str(10**12)}
    assert send(receiver) == 200


def test_nobody_there_is_a_failure_that_says_little(receiver):
    receiver.server.shutdown()
    receiver.server.server_close()
    with pytest.raises(OutboundFailed, match="connection failed"):
        send(receiver)


def test_the_system_resolver_answers_with_addresses():
    found = outbound.resolve_host("localhost", 443)
    assert all(ipaddress.ip_address(address).is_loopback for address in found)
    with pytest.raises(OutboundFailed):
        outbound.resolve_host("nothing.invalid", 443)
    with pytest.raises(OutboundFailed):
        outbound.resolve_host("a" * 300, 443)


def check_signature(secret, header, body):
    """Do what a receiver does."""
    parts = dict(part.split("=", 1) for part in header.split(","))
    told = f"{parts['t']}.".encode() + body
    assert hmac.compare_digest(
        parts["v1"], hmac.new(secret.encode(), told, hashlib.sha256).hexdigest()
    )
    return json.loads(body)
