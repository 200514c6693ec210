"""Where messages may go: by https to public addresses, never to one of our own network."""

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpcore2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from engine.ports.webhooks import check_url, is_public
from persistence.delivery.sender import Sender
from tests.persistence.telling import SECRET
from tests.support.receiver import Receiver

SPECIAL = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4
240.0.0.0/4 255.255.255.255/32
::/128 ::1/128 ::/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23
2001::/32 2001:1::1/128 2001:2::/48 2001:10::/28 2001:20::/28 2001:30::/28 2001:db8::/32 2002::/16
2620:4f:8000::/48 3fff::/20 4000::/3 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8
"""
"""The special-purpose registries of IANA for IPv4 and IPv6, with multicast, the ranges that other
RFCs withdrew (IPv4-compatible, IPv4-translated, site-local), and one that is not assigned."""

PRIVATE = (
    *("127.9.9.9", "169.254.169.254", "::127.0.0.1", "::ffff:0:7f00:1", "::ffff:0:10.0.0.1"),
    *("64:ff9b:1::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b:1:fffe::1.1.1.1", "fec0::1", "fe80::1%1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:192.88.99.1", "2002:7f00:1::1", "2001:0::1"),
    "2606:4700:4700::1111%1",
)
PUBLIC = (
    *("1.1.1.1", "93.184.216.34", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0"),
    *("192.0.1.0", "192.88.98.255", "192.88.100.0", "198.17.255.255", "223.255.255.255"),
    *("2606:4700:4700::1111", "::ffff:1.1.1.1", "2001:200::1", "2001:4860:4860::8888"),
    *("2003::1", "2a00:1450:4001::1", "2620:4f:7fff::1", "3ffe:ffff::1"),
)


@pytest.fixture
async def careful() -> AsyncIterator[Sender]:
    """A sender as in production."""
    sender = Sender(allow_insecure=False, connections_max=4)
    yield sender
    await sender.close()


@pytest.fixture
async def careless() -> AsyncIterator[Sender]:
    """A sender that may connect to any network."""
    sender = Sender(allow_insecure=True, connections_max=4)
    yield sender
    await sender.close()


@pytest.mark.parametrize("address", PRIVATE)
def test_is_public_of_a_private_address_is_false(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("network", SPECIAL.split())
def test_is_public_of_the_ends_and_the_middle_of_a_special_range_is_false(network: str) -> None:
    addresses = ipaddress.ip_network(network)
    for index in (0, addresses.num_addresses // 2, addresses.num_addresses - 1):
        assert not is_public(str(addresses[index]))


@pytest.mark.parametrize("address", PUBLIC)
def test_is_public_of_an_address_of_the_internet_is_true(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.org/hook", "ftp://example.org", "example.org", "", "https://", "https:x"),
        *("https://u:p@example.org", "https://u@example.org", "https://example.org/#part"),
        *(
            "https://exa mple.org",
            "https://ex\u00e4mple.org",
            "https://example.org/\n",
            "https://x:0",
        ),
        *("https://example.org:99999", "https://example.org:x", "https://[::1"),
        *(f"https://{address}/" for address in PRIVATE if ":" not in address),
        *(f"https://[{address}]/" for address in PRIVATE if ":" in address),
    ],
)
def test_check_url_refuses(url: str) -> None:
    with pytest.raises(ValueError):
        check_url(url, allow_insecure=False)


@pytest.mark.parametrize("url", ["https://example.org", "https://example.org:8443/a?b=c"])
def test_check_url_takes_https(url: str) -> None:
    check_url(url, allow_insecure=False)
    check_url("http://127.0.0.1:8000/hook", allow_insecure=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.1", "2130706433", "0"])
async def test_send_into_our_own_network_is_refused_when_it_connects(
    careful: Sender, receiver: Receiver, host: str
) -> None:
    url = receiver.url.replace("127.0.0.1", host)
    reply = await careful.send(url, SECRET, "msg_1", b"{}")
    assert reply.status is None
    assert reply.error in (
        "ConnectError: the host's address is not a public one",
        "ConnectError: the host cannot be resolved",
    )
    assert receiver.received == []


@pytest.mark.parametrize(
    "address",
    [
        *("10.0.0.1", "1.1.1.1 10.0.0.1", "10.0.0.1 1.1.1.1", "::127.0.0.1", "64:ff9b:1::7f00:1"),
        *("::ffff:0:7f00:1", "fec0::1", "2606:4700:4700::1111 fec0::1"),
    ],
)
async def test_send_to_a_name_with_a_private_address_connects_nowhere(
    careful: Sender, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    _resolve_to(monkeypatch, *address.split())
    connected = _connections(monkeypatch)
    reply = await careful.send("https://innocent.example/", SECRET, "msg_1", b"{}")
    assert reply.error == "ConnectError: the host's address is not a public one"
    assert connected == []


async def test_send_connects_to_the_address_that_was_checked(
    careful: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    _resolve_to(monkeypatch, "1.1.1.1", "2606:4700:4700::1111")
    connected = _connections(monkeypatch)
    await careful.send("https://innocent.example/", SECRET, "msg_1", b"{}")
    assert connected == ["1.1.1.1", "2606:4700:4700::1111"]


async def test_send_beside_names_that_are_slow_to_resolve_does_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()

    def resolve(host: str, *_: object, **__: object) -> list[Any]:
        if host.startswith("slow"):
            answered.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.1.1.1", 443))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    connected = _connections(monkeypatch)
    sender = Sender(allow_insecure=False, connections_max=65)
    slow = [
        asyncio.create_task(sender.send(f"https://slow{n}.example/", SECRET, "msg_1", b"{}"))
        for n in range(64)
    ]
    reply = await sender.send("https://quick.example/", SECRET, "msg_1", b"{}")
    assert reply.error == "ConnectError: refused"
    assert connected == ["1.1.1.1"]
    answered.set()
    await asyncio.gather(*slow)
    await sender.close()


async def test_send_by_https_checks_the_name(
    careless: Sender, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = _certificate(tmp_path, "localhost")
    receiver.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    receiver.tls.load_cert_chain(certificate, key)
    await receiver.restart()

    unknown = await careless.send(receiver.url, SECRET, "msg_1", b"{}")
    assert "CERTIFICATE_VERIFY_FAILED" in (unknown.error or "")

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    trusting = Sender(allow_insecure=True, connections_max=4)
    other_name = await trusting.send(receiver.url, SECRET, "msg_1", b"{}")
    right_name = await trusting.send(
        receiver.url.replace("127.0.0.1", "localhost"), SECRET, "msg_1", b"{}"
    )
    await trusting.close()
    assert "CERTIFICATE_VERIFY_FAILED" in (other_name.error or "")
    assert right_name.delivered


async def test_send_reads_no_proxy_from_the_environment(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, receiver.url)
    sender = Sender(allow_insecure=True, connections_max=1)
    reply = await sender.send("http://127.0.0.1:1/", SECRET, "msg_1", b"{}")
    await sender.close()
    assert reply.status is None
    assert receiver.received == []


def _resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def resolve(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 443)) for a in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def _connections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses the sender tried to connect to; every connection is refused."""
    connected: list[str] = []

    async def refuse(_: object, address: str, *__: object) -> None:
        connected.append(address)
        raise httpcore2.ConnectError("refused")

    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", refuse)
    return connected


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private
