"""SASL mechanisms, either end against the other, and against what the RFCs say."""

from __future__ import annotations

import random

import pytest

from virt_remote import sasl
from virt_remote.sasl import Credentials, SaslError, client_mechanism, credentials, server_mechanism

PASSWORD = "correct horse, battery = staple"


class Known:
    """Users in memory."""

    def __init__(self, **users: str) -> None:
        self.users = {
            name: credentials(name, password, iterations=4096, digest=True) for name, password in users.items()
        }

    def find(self, user: str) -> Credentials | None:
        return self.users.get(user)

    def salt_of(self, user: str) -> bytes:
        return user.encode()[:16].ljust(16, b"*")


USERS = Known(**{"fred": PASSWORD, "j=o,e": "joe's", "Ström": "Käse"})


def exchange(server: sasl.SaslServer, client: sasl.SaslClient) -> None:
    """Carry an exchange through as libvirt does: the server's last word comes with its completion."""
    answer = server.step(client.start())
    for _ in range(5):
        if server.complete and (client.complete or answer is None):
            break
        said = client.step(answer)
        if server.complete:
            break
        answer = server.step(said)
    assert server.complete
    assert client.complete


@pytest.mark.parametrize("name", sasl.MECHANISMS)
@pytest.mark.parametrize(("user", "password"), [("fred", PASSWORD), ("j=o,e", "joe's"), ("Ström", "Käse")])
def test_both_ends_agree(name: str, user: str, password: str) -> None:
    server, client = server_mechanism(name, USERS), client_mechanism(name, user, password, "host")
    exchange(server, client)
    assert server.user == user


@pytest.mark.parametrize("name", sasl.MECHANISMS)
@pytest.mark.parametrize(("user", "password"), [("fred", "wrong"), ("nobody", PASSWORD), ("fred", "")])
def test_who_does_not_know_the_password_does_not_get_in(name: str, user: str, password: str) -> None:
    server, client = server_mechanism(name, USERS), client_mechanism(name, user, password, "host")
    with pytest.raises(SaslError, match="wrong password") as caught:
        exchange(server, client)
    assert PASSWORD not in str(caught.value)
    assert not server.complete
    assert server.user is None


def test_nobody_learns_which_users_there_are() -> None:
    def challenge(user: str) -> list[str]:
        client = client_mechanism("SCRAM-SHA-256", user, "", "host")
        answer = server_mechanism("SCRAM-SHA-256", USERS).step(client.start())
        assert answer is not None
        return answer.decode().split(",")[1:2]

    assert challenge("nobody") == challenge("nobody"), "a salt that changed would tell"
    assert challenge("nobody") != challenge("anybody")
    assert challenge("fred") == challenge("fred")


def test_scram_as_in_its_rfc(monkeypatch: pytest.MonkeyPatch) -> None:
    nonces = iter(["rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"])
    monkeypatch.setattr(sasl, "_nonce", lambda: next(nonces))
    salt = b"[m\x99h\x9d\x125\x8e\xec\xa0K\x14\x126\xfa\x81"
    users = Known()
    users.users["user"] = Credentials(salt, 4096, *sasl._scram_keys("pencil", salt, 4096))
    client, server = (
        client_mechanism("SCRAM-SHA-256", "user", "pencil", "host"),
        server_mechanism("SCRAM-SHA-256", users),
    )
    first = server.step(client.start())
    assert first == b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    proof = client.step(first)
    assert proof is not None
    assert proof.endswith(b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    last = server.step(proof)
    assert last == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    client.step(last)
    assert client.complete


def test_digest_as_in_its_rfc() -> None:
    example = sasl._Exchange("OA6MG9tEQGm2hh", "OA6MHXh6VqTrRk", "auth", "imap/elwood.innosoft.com", "")
    key = example.session_key(sasl.digest_secret("chris", "secret", "elwood.innosoft.com"))
    assert example.response(key, "AUTHENTICATE") == "d388dad90d4bbd760a152321f2143af7"
    assert example.response(key, "") == "ea40f60335c427b5527b84dbabcdfffd"


def test_rc4_as_everybody_computes_it() -> None:
    assert sasl._RC4(b"Key").process(b"Plaintext").hex() == "bbf316e8d940af0ad3"


@pytest.mark.parametrize("ssf", [0, 1, 112])
def test_what_follows_is_protected(ssf: int) -> None:
    server, client = (
        server_mechanism("DIGEST-MD5", USERS, ssf),
        client_mechanism("DIGEST-MD5", "fred", PASSWORD, "h", ssf),
    )
    exchange(server, client)
    assert server.layer is not None, "the strongest is taken"
    assert client.layer is not None
    assert server.layer.ssf == client.layer.ssf == 128
    data = random.Random(1).randbytes(200_000)
    sealed = server.layer.wrap(data)
    assert data[:100] not in sealed
    found = b"".join(client.layer.unwrap(sealed[at : at + 7001]) for at in range(0, len(sealed), 7001))
    assert found == data
    answer = bytearray(client.layer.wrap(b"hello"))
    answer[5] ^= 1
    with pytest.raises(SaslError, match="tampered"):
        server.layer.unwrap(bytes(answer))
    with pytest.raises(SaslError, match="bytes"):
        client.layer.unwrap(b"\xff\xff\xff\xff")


def test_a_server_that_does_not_know_the_password_is_found_out() -> None:
    other = Known(fred="another")
    client = client_mechanism("SCRAM-SHA-256", "fred", PASSWORD, "host")
    answer = server_mechanism("SCRAM-SHA-256", other).step(client.start())
    client.step(answer)
    with pytest.raises(SaslError, match="does not know"):
        client.step(b"v=" + b"A" * 43 + b"=")
    with pytest.raises(SaslError, match="no proof"):
        client.step(None)


@pytest.mark.parametrize("name", sasl.MECHANISMS)
def test_nonsense_is_refused(name: str) -> None:
    source = random.Random(name)
    client = client_mechanism(name, "fred", PASSWORD, "host")
    good = client.start() or client.step(server_mechanism(name, USERS).step(None)) or b""
    for _ in range(400):
        data = bytearray(good)
        for _ in range(source.randint(1, 4)):
            match source.randrange(3):
                case 0 if data:
                    data[source.randrange(len(data))] = source.randrange(256)
                case 1:
                    del data[source.randrange(len(data) + 1) :]
                case _:
                    data[source.randrange(len(data) + 1) : 0] = source.randbytes(3)
        server = server_mechanism(name, USERS)
        if name == "DIGEST-MD5":
            server.step(None)
        try:
            server.step(bytes(data))
        except SaslError:
            pass
        assert not server.complete or data == good or name == "PLAIN"


def test_what_may_be_used_where() -> None:
    offered = ["scram-sha-256", "PLAIN", "DIGEST-MD5"]
    assert sasl.best_mechanism(offered, None, encrypted=True) == "SCRAM-SHA-256"
    assert sasl.best_mechanism(offered, "plain", encrypted=True) == "PLAIN"
    assert sasl.best_mechanism(offered, None, encrypted=False, ssf=112) == "DIGEST-MD5", "it encrypts"
    with pytest.raises(SaslError, match="no mechanism"):
        sasl.best_mechanism(offered, "PLAIN", encrypted=False)
