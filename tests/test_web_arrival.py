"""By what address a request came, and who sent it: a trusted proxy is believed, nobody else."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from test_web_door import BEARER, actions, basic, build

from lethe.storage.archive import Archive

pytestmark = pytest.mark.usefixtures("quick_passwords")


@pytest.fixture
def web(archive: Archive) -> FlaskClient:
    return build(archive, trusted_proxies=["127.0.0.1/32", "192.0.2.0/24"]).test_client()


def root(web: FlaskClient, *, address: str = "127.0.0.1", port: str = "80", **headers: str) -> str:
    sent = {name.replace("_", "-"): value for name, value in headers.items()} | BEARER
    return web.get(
        "/probe/root", headers=sent, environ_overrides={"REMOTE_ADDR": address, "SERVER_PORT": port}
    ).get_data(as_text=True)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Forwarded": "host=my-domain;proto=https"}, "https://my-domain"),
        ({"Forwarded": 'for="[2001:db8::7]:4711";host="my-domain:8443";proto=https'}, "https://my-domain:8443"),
        ({"X_Forwarded_Host": "my-domain", "X_Forwarded_Proto": "https"}, "https://my-domain"),
        (
            {"X_Forwarded_Host": "my-domain", "X_Forwarded_Proto": "https", "X_Forwarded_Port": "443"},
            "https://my-domain",
        ),
        ({"X_Forwarded_Host": "my-domain", "X_Forwarded_Port": "8081"}, "http://my-domain:8081"),
        ({"X_Forwarded_Host": "my-domain", "X_Forwarded_Prefix": "/lethe"}, "http://my-domain/lethe"),
        ({"X_Forwarded_Host": 'evil" onload="', "X_Forwarded_Proto": "javascript"}, "http://localhost"),
        ({"X_Forwarded_Host": "my-domain", "X_Forwarded_Prefix": "//evil.example"}, "http://my-domain"),
        ({"Forwarded": "host=forged", "X_Forwarded_For": "198.51.100.9"}, "http://localhost"),
        ({}, "http://localhost"),
    ],
)
def test_a_trusted_proxy_says_the_address(web: FlaskClient, headers: dict[str, str], expected: str) -> None:
    assert root(web, **headers) == expected


@pytest.mark.parametrize("host", ["a/b\\c", "a b", "a/b", "user@a", "a?b", "a#b", "a:b", 'a"b', "a<b>", "[::1", "ä"])
def test_what_is_no_host_is_400(archive: Archive, host: str) -> None:
    web = build(archive).test_client()
    for path in ("/probe/root", "/probe/open", "/nowhere"):
        answer = web.get(path, headers=BEARER, environ_overrides={"HTTP_HOST": host})
        assert answer.status_code == 400, path
        assert host not in answer.text
    assert web.get("/probe/root", headers=BEARER | {"Host": "[::1]:8080"}).text == "http://[::1]:8080"


def test_only_the_oldest_http_may_name_no_host(archive: Archive) -> None:
    web, none = build(archive).test_client(), {"HTTP_HOST": "", "SERVER_NAME": "192.0.2.7", "SERVER_PORT": "8080"}
    assert web.get("/probe/root", headers=BEARER, environ_overrides=none).status_code == 400
    for spelt in ("HTTP/1.0", "HTTP/1"):
        oldest = web.get("/probe/root", headers=BEARER, environ_overrides=none | {"SERVER_PROTOCOL": spelt})
        assert (oldest.status_code, oldest.text) == (200, "http://192.0.2.7:8080")


def test_nobody_else_does(web: FlaskClient, archive: Archive) -> None:
    sent = {"Forwarded": "host=forged;proto=https"}
    assert root(web, address="198.51.100.9", **sent) == "http://localhost"
    assert root(build(archive).test_client(), **sent) == "http://localhost"
    assert root(web, address="198.51.100.9", X_Forwarded_Host="forged") == "http://localhost"


def test_the_public_url_goes_before_a_proxy(archive: Archive) -> None:
    public = {"trusted_proxies": ["127.0.0.1/32"], "public_url": "https://lethe.example.org/node"}
    answer = build(archive, **public).test_client().get("/probe/root", headers={"X-Forwarded-Host": "other"} | BEARER)
    assert answer.status_code == 200  # the probe knows of no public URL; what it was asked for is the proxy's host
    assert answer.text == "http://other/node"


def test_a_prefix_is_taken_off_where_the_proxy_left_it(web: FlaskClient) -> None:
    answer = web.get("/lethe/probe/root", headers={"X-Forwarded-Prefix": "/lethe"} | BEARER)
    assert answer.text == "http://localhost/lethe"


@pytest.mark.parametrize(
    ("host", "address", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", "http://127.0.0.1:8080"),
        ("localhost", "127.0.0.1", "http://localhost:8080"),
        ("[::1]", "::1", "http://[::1]:8080"),
        ("127.0.0.1:9000", "127.0.0.1", "http://127.0.0.1:9000"),
        ("[::1]:9000", "::1", "http://[::1]:9000"),
        ("127.0.0.1", "172.17.0.1", "http://127.0.0.1"),
        ("198.51.100.9", "198.51.100.1", "http://198.51.100.9"),
        ("lethe.example.org", "127.0.0.1", "http://lethe.example.org"),
    ],
)
def test_a_host_without_port_that_is_ours_gets_the_port(
    archive: Archive, host: str, address: str, expected: str
) -> None:
    assert root(build(archive).test_client(), address=address, port="8080", Host=host) == expected


def test_a_proxy_that_leaves_the_port_out_means_it(web: FlaskClient) -> None:
    assert root(web, port="8080", Host="127.0.0.1") == "http://127.0.0.1"


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ({"X-Forwarded-For": "6.6.6.6, 198.51.100.9"}, "198.51.100.9"),
        ({"X-Forwarded-For": "6.6.6.6, 198.51.100.9, 192.0.2.8"}, "198.51.100.9"),
        ({"X-Forwarded-For": "6.6.6.6, unknown"}, "127.0.0.1"),
        ({"X-Real-IP": "198.51.100.9"}, "198.51.100.9"),
        ({"Forwarded": "for=6.6.6.6, for=198.51.100.9:1234"}, "198.51.100.9"),
        ({"Forwarded": 'for=6.6.6.6, for="[2001:db8::7]", for=192.0.2.8'}, "2001:db8::7"),
        ({"Forwarded": "for=6.6.6.6", "X-Forwarded-For": "198.51.100.9"}, "127.0.0.1"),
    ],
)
def test_the_audit_trail_names_who_asked_the_outermost_proxy_that_is_trusted(
    web: FlaskClient, archive: Archive, headers: dict[str, str], client: str
) -> None:
    assert web.get("/probe/open", headers=basic("nobody", "wrong") | headers).status_code == 401
    assert actions(archive) == [f"login-refused unknown@{client}"]


def test_guessing_through_a_proxy_slows_down_only_who_guesses(web: FlaskClient, archive: Archive) -> None:
    archive.users.first_administrator()
    name = archive.users.change_password("admin", "four quiet river stones").name
    guesser, other = {"X-Forwarded-For": "198.51.100.9"}, {"X-Forwarded-For": "198.51.100.10"}
    statuses = [web.get("/probe/open", headers=basic(name, "wrong") | guesser).status_code for _ in range(6)]
    assert statuses[-1] == 429
    assert web.get("/probe/open", headers=basic(name, "four quiet river stones") | other).status_code == 200


def test_without_accounts_a_trusted_proxy_is_turned_away_too(archive: Archive) -> None:
    web = build(archive, auth="none", admin_token="", trusted_proxies=["127.0.0.1/32"]).test_client()
    assert web.get("/probe/open").status_code == 200
    for name, value in {"Forwarded": "for=127.0.0.1", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "a"}.items():
        assert web.get("/probe/open", headers={name: value}).status_code == 403
