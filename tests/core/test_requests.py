import pytest
import structlog
from django.test import RequestFactory

from veza.core.api.requests import source_address

HEALTH = "/api/v1/health"


def request_from(*, remote: str = "10.0.0.9", forward: str | None = None):
    headers = {} if forward is None else {"HTTP_X_FORWARDED_FOR": forward}
    return RequestFactory().get("/", REMOTE_ADDR=remote, **headers)


def test_a_callers_plain_request_id_is_kept_and_answered(api):
    assert api.get(HEALTH, HTTP_X_REQUEST_ID="cart-42.retry_1")["X-Request-Id"] == "cart-42.retry_1"


@pytest.mark.parametrize("client_id", ["", "a b", "a\nb", "<script>", "\u00e9", "x" * 101, "a;b"])
def test_any_other_request_id_is_replaced_by_one_of_ours(api, client_id):
    request_id = api.get(HEALTH, HTTP_X_REQUEST_ID=client_id)["X-Request-Id"]

    assert request_id != client_id
    assert len(request_id) == 36


def test_every_request_has_an_id_of_its_own(api):
    assert api.get(HEALTH)["X-Request-Id"] != api.get(HEALTH)["X-Request-Id"]


def test_a_request_is_logged_in_one_line_without_its_query(api, caplog):
    caplog.set_level("INFO", logger="veza.core.api.middleware")

    api.get(f"{HEALTH}?token=hunter2")

    (line,) = [record.msg for record in caplog.records]
    assert (line["event"], line["method"], line["path"], line["status"]) == ("request", "GET", HEALTH, 200)
    assert "hunter2" not in str(line)


def test_what_an_earlier_request_bound_to_the_log_is_gone(api):
    structlog.contextvars.bind_contextvars(user="somebody else")

    api.get(HEALTH, HTTP_X_REQUEST_ID="abc")

    assert structlog.contextvars.get_contextvars() == {"request_id": "abc"}


def forbidden(_get_response):
    def refuse(request):
        raise AssertionError(f"{request.path} passed a middleware behind the lean doors")

    return refuse


@pytest.mark.parametrize(("method", "path", "status"), [("get", HEALTH, 200), ("post", "/api/v1/webhooks/stripe", 411)])
def test_webhooks_and_health_pass_no_other_middleware(api, settings, method, path, status):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:2], "tests.core.test_requests.forbidden"]

    assert getattr(api, method)(path).status_code == status


@pytest.mark.parametrize(
    ("path", "host", "status"), [(HEALTH, "another.example.org", 400), (f"{HEALTH}/no", None, 404)]
)
def test_a_lean_door_answers_a_bad_request_as_a_problem(api, path, host, status):
    answer = api.get(path, headers={"Host": host} if host else {})

    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")


def test_without_proxies_of_ours_a_forwarded_address_is_not_believed(settings):
    settings.TRUSTED_PROXIES = 0

    assert source_address(request_from(remote="203.0.113.7", forward="1.1.1.1")) == "203.0.113.7"


@pytest.mark.parametrize(
    ("proxies", "forward", "address"),
    [
        (1, "6.6.6.6, 203.0.113.7", "203.0.113.7"),
        (2, "6.6.6.6, 203.0.113.7, 10.0.0.1", "203.0.113.7"),
        (1, "203.0.113.7:52100", "203.0.113.7"),
        (1, "[2001:db8::1]:443", "2001:db8::1"),
        (1, "2001:DB8:0::1", "2001:db8::1"),
        (1, "::ffff:203.0.113.7", "203.0.113.7"),
    ],
)
def test_addresses_are_counted_from_the_right(settings, proxies, forward, address):
    settings.TRUSTED_PROXIES = proxies

    assert source_address(request_from(forward=forward)) == address


@pytest.mark.parametrize(
    "forward", [None, "", "garbage", "1.1.1.1, ", "999.1.1.1", "fe80::1%eth0", "'; DROP TABLE", "1.1.1.1\0"]
)
def test_garbage_in_place_of_an_address_is_not_believed(settings, forward):
    settings.TRUSTED_PROXIES = 1

    assert source_address(request_from(remote="10.0.0.9", forward=forward)) == "10.0.0.9"


def test_a_chain_shorter_than_our_proxies_was_not_written_by_them(settings):
    settings.TRUSTED_PROXIES = 2

    assert source_address(request_from(remote="10.0.0.9", forward="6.6.6.6")) == "10.0.0.9"


def test_a_socket_without_an_address_has_none():
    assert source_address(request_from(remote="")) is None
