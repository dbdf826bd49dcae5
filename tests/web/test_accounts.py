"""Signing in and out, the account page, and the admin's pages about people."""

import re
from html import unescape

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from app.db.session import Database
from app.db.tables import ApiToken, AuditEntry, Role, User
from app.http.limits import PER_ACCOUNT, PER_ADDRESS
from app.services import accounts, api_tokens
from app.services.accounts import Person
from app.web.pages.accounts import local_path
from tests import factories
from tests.conftest import Browser

PASSWORD = "correct horse battery"


@pytest.fixture
def anna(app: FastAPI, database: Database) -> Person:
    """A member with a password."""
    with database.session() as session:
        person = factories.person(session)
        session.get_one(User, person.id).password_hash = app.state.passwords.hash(PASSWORD)
    return person


def enter(browser: Browser, name: str = "anna", password: str = PASSWORD, **more: str) -> int:
    status: int = browser.post("/sign-in", data={"name": name, "password": password, **more}).status_code
    return status


def token_in(html: str) -> str:
    found = re.search(r'name="csrf_token" value="([0-9a-f]{64})"', html)
    assert found
    return found[1]


class TestSigningIn:
    def test_with_the_right_password(self, client: Browser, anna: Person) -> None:
        assert "Sign in" in client.get("/sign-in?next=/runs").text
        answer = client.post("/sign-in", data={"name": "anna", "password": PASSWORD, "next": "/runs?state=queued"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/runs?state=queued")
        assert client.get("/account").status_code == 200

    def test_a_new_session_each_time(self, client: Browser, anna: Person) -> None:
        client.cookies.set("touchstone", "planted-by-somebody")
        enter(client)
        first = client.cookies.get("touchstone", domain="testserver.local")
        assert first and first != "planted-by-somebody"

    @pytest.mark.parametrize(("name", "password"), [("anna", "wrong password"), ("bert", PASSWORD), ("", "")])
    def test_with_a_wrong_one_the_form_comes_again(
        self, client: Browser, anna: Person, name: str, password: str
    ) -> None:
        answer = client.post("/sign-in", data={"name": name, "password": password, "next": "/runs"})
        assert answer.status_code == 422
        assert "Name and password do not match." in answer.text
        assert f'value="{name}"' in answer.text and 'value="/runs"' in answer.text
        assert not password or password not in answer.text
        assert "touchstone" not in client.cookies

    def test_from_another_site_it_is_refused(self, client: Browser, anna: Person) -> None:
        client.headers["sec-fetch-site"] = "cross-site"
        assert enter(client) == 403

    @pytest.mark.parametrize(
        ("wanted", "given"),
        [
            ("/boards/x?sort=rank", "/boards/x?sort=rank"),
            ("https://evil.example", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/sign-in?next=/", "/"),
            ("/sign-out", "/"),
            ("/a\r\nSet-Cookie: x", "/"),
            ("javascript:alert(1)", "/"),
            ("", "/"),
        ],
    )
    def test_nobody_is_sent_elsewhere(self, wanted: str, given: str) -> None:
        assert local_path(wanted) == given

    def test_sign_out_ends_the_session(self, client: Browser, anna: Person) -> None:
        enter(client)
        client.csrf_token = token_in(client.get("/account").text)
        kept = client.cookies["touchstone"]
        answer = client.post_form("/sign-out")
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert "touchstone" not in client.cookies
        assert "You are signed out." in client.get("/sign-in").text
        client.cookies.set("touchstone", kept)
        assert client.get("/account").status_code == 303


class TestLimits:
    def test_an_account_is_closed_after_ten_attempts(self, client: Browser, anna: Person) -> None:
        for _ in range(PER_ACCOUNT.amount):
            assert enter(client, password="wrong password") == 422
        answer = client.post("/sign-in", data={"name": " ANNA", "password": PASSWORD})
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 15 * 60
        assert re.search(r"Try again in \d+ minutes\.", answer.text)
        assert enter(client, name="bert") == 422, "other accounts are not"

    def test_getting_in_forgives_the_account(self, client: Browser, anna: Person) -> None:
        for _ in range(2):
            for _ in range(PER_ACCOUNT.amount - 1):
                assert enter(client, password="wrong password") == 422
            assert enter(client) == 303
            client.cookies.clear()

    def test_an_address_is_closed_whatever_the_names(self, client: Browser, anna: Person) -> None:
        for number in range(PER_ADDRESS.amount):
            assert enter(client, name=f"user{number}") == 422
        assert enter(client) == 429

    def test_guessing_the_current_password_is_limited_too(self, as_viewer: Browser) -> None:
        form = {"password": "x" * 12, "repeated": "y" * 12}
        for _ in range(PER_ACCOUNT.amount):
            assert as_viewer.post_form("/account/password", form).status_code == 422
        assert as_viewer.post_form("/account/password", form).status_code == 429


class TestLink:
    def test_from_the_link_to_a_password(self, client: Browser, database: Database) -> None:
        with database.session() as session:
            link = accounts.first_admin_link(session)
        for _ in range(2):
            assert "Sign in as admin" in client.get(f"/sign-in/{link}").text, "looking does not use it up"
        answer = client.post(f"/sign-in/{link}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/account")
        html = client.get("/account").text
        assert "Welcome, admin." in html and "You have no password yet." in html
        assert 'name="current"' not in html
        assert "Welcome, admin." not in client.get("/account").text, "a message is shown once"
        client.csrf_token = token_in(html)
        answer = client.post_form("/account/password", {"password": PASSWORD, "repeated": PASSWORD})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        html = client.get("/account").text
        assert "The password is set." in html and 'name="current"' in html
        client.cookies.clear()
        assert enter(client, name="admin") == 303

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_used_or_unknown_one_says_what_to_do(self, client: Browser, database: Database, method: str) -> None:
        with database.session() as session:
            used = accounts.create_sign_in_link(session, factories.person(session).id)
            accounts.use_sign_in_link(session, used)
        for token in (used, "unknown"):
            answer = client.request(method, f"/sign-in/{token}")
            assert answer.status_code == 404
            assert "Ask an admin for a new one" in answer.text


class TestAccount:
    def test_a_wrong_change_of_password_comes_again(self, client: Browser, anna: Person) -> None:
        enter(client)
        client.csrf_token = token_in(client.get("/account").text)
        answer = client.post_form("/account/password", {"current": "wrong", "password": "y" * 12, "repeated": "y" * 12})
        assert answer.status_code == 422
        assert "This is not your current password." in answer.text
        assert "y" * 12 not in answer.text

    def test_a_change_of_password_keeps_this_browser_only(self, app: FastAPI, client: Browser, anna: Person) -> None:
        other = Browser(app)
        enter(client)
        enter(other)
        before = client.cookies["touchstone"]
        client.csrf_token = token_in(client.get("/account").text)
        form = {"current": PASSWORD, "password": "another good one", "repeated": "another good one"}
        assert client.post_form("/account/password", form).status_code == 303
        assert client.cookies["touchstone"] != before
        assert client.get("/account").status_code == 200
        assert other.get("/account").status_code == 303

    def test_sessions_are_listed_and_ended(self, app: FastAPI, client: Browser, anna: Person) -> None:
        others = [Browser(app), Browser(app)]
        for number, browser in enumerate((client, *others)):
            browser.headers["user-agent"] = f"browser <{number}>"
            enter(browser)
        html = client.get("/account").text
        assert all(f"browser &lt;{number}&gt;" in html for number in range(3))
        assert html.count("this browser") == 1
        client.csrf_token = token_in(html)
        named = re.findall(r'name="session_id" value="([0-9a-f]{16})"', html)
        assert len(named) == 2
        client.post_form("/account/sessions/end", {"session_id": named[0]})
        assert "Ended 1 session." in client.get("/account").text
        client.post_form("/account/sessions/end")
        assert [browser.get("/account").status_code for browser in (client, *others)] == [200, 303, 303]

    def test_a_token_is_shown_once(self, as_member: Browser, database: Database) -> None:
        html = as_member.get("/account").text
        assert '<option value="write"' in html and '<option value="admin"' not in html
        answer = as_member.post_form("/account/tokens", {"name": "nightly", "scope": "write", "days": "30"})
        assert answer.status_code == 201
        (token,) = re.findall(r"<code>(ts_[\w-]+)</code>", answer.text)
        with database.reading() as session:
            found = api_tokens.person_for_token(session, token)
        assert found and found.person == as_member.person
        html = as_member.get("/account").text
        assert "nightly" in html and f"…{token[-4:]}" in html and token not in html

    @pytest.mark.parametrize(
        ("form", "message"),
        [
            ({"name": "", "scope": "read", "days": "7"}, "Give it a name"),
            ({"name": "x", "scope": "admin", "days": "7"}, "Choose what your role allows: read, write."),
            ({"name": "x", "scope": "read", "days": "1000"}, "Choose one of 7, 30, 90, 365 days."),
            ({"name": "x", "scope": "read", "days": "²"}, "Choose one of 7, 30, 90, 365 days."),
        ],
    )
    def test_a_bad_wish_comes_again(
        self, as_member: Browser, database: Database, form: dict[str, str], message: str
    ) -> None:
        answer = as_member.post_form("/account/tokens", form)
        assert answer.status_code == 422
        assert message in unescape(answer.text)
        with database.reading() as session:
            assert session.scalar(select(func.count()).select_from(ApiToken)) == 0

    def test_only_ones_own_tokens_are_revoked(self, as_member: Browser, as_viewer: Browser, database: Database) -> None:
        as_member.post_form("/account/tokens", {"name": "nightly", "scope": "read", "days": "7"})
        with database.reading() as session:
            token_id = session.scalars(select(ApiToken.id)).one()
        assert as_viewer.post_form(f"/account/tokens/{token_id}/revoke").status_code == 404
        assert as_member.post_form(f"/account/tokens/{token_id}/revoke").status_code == 303
        assert "The token “nightly” is revoked." in as_member.get("/account").text


class TestUsers:
    def new_user(self, browser: Browser, name: str = "bert", role: str = "member") -> tuple[int, str]:
        answer = browser.post_form("/admin/users", {"name": name, "role": role})
        found = re.search(r"<code>http://testserver(/sign-in/[\w-]+)</code>", answer.text)
        return answer.status_code, found[1] if found else ""

    def user_id(self, database: Database, name: str = "bert") -> int:
        with database.reading() as session:
            return session.scalars(select(User.id).where(User.name == name)).one()

    def test_a_new_user_gets_a_link(self, app: FastAPI, as_admin: Browser, database: Database) -> None:
        status, link = self.new_user(as_admin)
        assert status == 201
        assert "invited" in as_admin.get("/admin/users").text
        assert Browser(app).post(link).status_code == 303
        with database.reading() as session:
            rows = session.execute(select(AuditEntry.actor, AuditEntry.action, AuditEntry.address))
            assert [tuple(row) for row in rows][-3:] == [
                ("admin", "user.create", "testclient"),
                ("admin", "user.link", "testclient"),
                ("bert", "account.sign_in", "testclient"),
            ]

    @pytest.mark.parametrize(("name", "role"), [("admin", "viewer"), ("b b", "viewer"), ("", ""), ("carl", "root")])
    def test_a_bad_one_comes_again(self, as_admin: Browser, database: Database, name: str, role: str) -> None:
        status, link = self.new_user(as_admin, name, role)
        assert status in {409, 422} and not link
        with database.reading() as session:
            assert session.scalars(select(User.name)).all() == ["admin"]

    def test_a_new_link_replaces_the_old(self, app: FastAPI, as_admin: Browser, database: Database) -> None:
        _, first = self.new_user(as_admin)
        answer = as_admin.post_form(f"/admin/users/{self.user_id(database)}/link")
        assert answer.status_code == 201
        assert first not in answer.text
        assert Browser(app).post(first).status_code == 404

    def test_role_and_activity(self, app: FastAPI, as_admin: Browser, database: Database) -> None:
        _, link = self.new_user(as_admin)
        browser = Browser(app)
        browser.post(link)
        path = f"/admin/users/{self.user_id(database)}"
        as_admin.post_form(f"{path}/role", {"role": "viewer"})
        assert "bert is viewer now" in as_admin.get("/admin/users").text
        assert browser.get("/account").status_code == 303
        as_admin.post_form(f"{path}/active", {"active": "no"})
        html = as_admin.get("/admin/users").text
        assert "bert is deactivated now." in html and "Activate" in html
        as_admin.post_form(f"{path}/active", {"active": "yes"})
        assert "no way in" in as_admin.get("/admin/users").text

    def test_the_last_admin_cannot_leave(self, as_admin: Browser) -> None:
        assert as_admin.person
        for action, form in (("role", {"role": "viewer"}), ("active", {"active": "no"})):
            as_admin.post_form(f"/admin/users/{as_admin.person.id}/{action}", form)
            assert "This is the last active admin." in as_admin.get("/admin/users").text

    def test_the_systems_user_has_no_buttons(self, as_admin: Browser, database: Database) -> None:
        with database.session() as session:
            system = accounts.system_person(session)
        html = as_admin.get("/admin/users").text
        assert "touchstone" in html and f"/admin/users/{system.id}/" not in html
        assert as_admin.post_form(f"/admin/users/{system.id}/link").status_code == 409


class TestAuditPage:
    @pytest.fixture
    def trail(self, as_admin: Browser, database: Database) -> Browser:
        with database.session() as session:
            for number in range(60):
                factories.person(session, f"user-{number:02}", Role.VIEWER)
        return as_admin

    def test_the_newest_first_in_pages(self, trail: Browser) -> None:
        html = trail.get("/admin/audit").text
        assert "1–50 of 61" in html and "user-59" in html and "user-05" not in html
        second = trail.get("/admin/audit?page=2").text
        assert "51–61 of 61" in second and "user-05" in second and "user-59" not in second
        assert 'href="/admin/audit?page=2"' in html and 'href="/admin/audit?page=1"' in second

    def test_a_choice_stays_in_the_links(self, trail: Browser) -> None:
        html = unescape(trail.get("/admin/audit?actor=system&action=user.create").text)
        assert 'href="/admin/audit?actor=system&action=user.create&page=2"' in html
        nothing = trail.get("/admin/audit?actor=somebody&action=").text
        assert "No change of state matches this choice." in nothing

    def test_htmx_gets_the_table_alone(self, trail: Browser) -> None:
        part = trail.get("/admin/audit", headers={"HX-Request": "true"})
        assert part.text.lstrip().startswith('<div id="audit"')
        whole = trail.get("/admin/audit", headers={"HX-Request": "true", "HX-History-Restore-Request": "true"})
        assert whole.text.startswith("<!DOCTYPE html>")
        assert part.headers["vary"] == whole.headers["vary"] == "HX-Request, Accept-Encoding"

    @pytest.mark.parametrize("page", ["0", "-1", "x", "9" * 30])
    def test_a_page_that_cannot_be(self, trail: Browser, page: str) -> None:
        assert trail.get(f"/admin/audit?page={page}").status_code == 422
