"""Every route has one access decision, and keeps it."""

from collections.abc import Callable, Iterator

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from app.db.session import Database
from app.db.tables import Role
from app.http.access import Admin, Decision, Viewer, allow, public
from app.main import OpenFiles
from app.services import accounts, api_tokens
from tests.conftest import Browser

NOBODY = None


def decisions(dependant: Dependant) -> Iterator[Decision]:
    """Every access decision among a route's dependencies, however deep."""
    for inner in dependant.dependencies:
        if isinstance(inner.call, Decision):
            yield inner.call
        yield from decisions(inner)


def walk(app: FastAPI) -> Iterator[tuple[str, set[str], set[Decision]]]:
    """(path, methods, decisions) of everything the application answers."""
    for route in iter_route_contexts(app.routes):
        dependant = getattr(route, "dependant", None)
        if dependant is not None:
            found = set(decisions(dependant))
        else:
            open_files = isinstance(route.original_route, Mount) and isinstance(route.original_route.app, OpenFiles)
            found = {public} if open_files else set()
        yield str(route.path), set(route.methods or ()), found


def undecided(app: FastAPI) -> list[str]:
    return [path for path, _, found in walk(app) if len(found) != 1]


def test_every_route_has_exactly_one_decision(app: FastAPI) -> None:
    assert undecided(app) == []
    assert {"/healthz", "/sign-in", "/account", "/admin/users", "/static"} <= {path for path, _, _ in walk(app)}


def test_a_route_without_a_decision_or_with_two_is_found(app: FastAPI) -> None:
    router = APIRouter(prefix="/planted", dependencies=[Depends(allow(Role.VIEWER))])

    @router.get("/two")
    def two(_person: Admin) -> None: ...

    @router.get("/one")
    def one(_person: Viewer) -> None: ...

    @app.get("/none")
    def none() -> None: ...

    app.include_router(router)
    app.mount("/mounted", FastAPI())
    assert undecided(app) == ["/none", "/planted/two", "/mounted"]


def test_what_is_open_to_everyone_is_a_short_list(app: FastAPI) -> None:
    open_paths = {path for path, _, found in walk(app) if found == {public}}
    assert open_paths == {"/healthz", "/readyz", "/sign-in", "/sign-in/{token}", "/static"}


@pytest.mark.parametrize("role", [NOBODY, *Role])
def test_pages_without_parameters_answer_as_declared(
    app: FastAPI, client: Browser, sign_in: Callable[[Role], Browser], role: Role | None
) -> None:
    browser = client if role is NOBODY else sign_in(role)
    for path, methods, (decision,) in walk(app):
        if "GET" not in methods or "{" in path:
            continue
        answer = browser.get(path)
        if decision.role is None:
            expected = answer.status_code < 400
        elif role is NOBODY:
            machine = path.startswith(("/api/", "/metrics"))
            to_sign_in = answer.status_code == 303 and answer.headers["location"].startswith("/sign-in?next=")
            expected = answer.status_code == 401 if machine else to_sign_in
        elif role.rank < decision.role.rank:
            expected = answer.status_code == 403
        else:
            expected = answer.status_code < 500 and answer.status_code not in {401, 403}
        assert expected, f"{path} answers {answer.status_code} for {role}: {answer.text[:300]}"


@pytest.mark.parametrize("role", [NOBODY, *Role])
def test_forms_refuse_who_may_not_send_them(
    app: FastAPI, client: Browser, sign_in: Callable[[Role], Browser], role: Role | None
) -> None:
    browser = client if role is NOBODY else sign_in(role)
    looked_at = 0
    for path, methods, (decision,) in walk(app):
        refused = decision.role is not None and (role is NOBODY or role.rank < decision.role.rank)
        for method in methods - {"GET", "HEAD"} if refused else ():
            address = path.replace("{", "").replace("}", "").replace("user_id", "1").replace("token_id", "1")
            headers = {"X-CSRF-Token": browser.csrf_token}
            answer = browser.request(method, address, headers=headers)
            assert answer.status_code in ({303, 401} if role is NOBODY else {403}), f"{method} {path}"
            looked_at += 1
    assert looked_at > 0 or role is Role.ADMIN


class TestNobody:
    def test_a_page_leads_to_sign_in_and_back(self, client: Browser) -> None:
        answer = client.get("/admin/audit?actor=anna&page=2")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/sign-in?next=/admin/audit%3Factor%3Danna%26page%3D2"

    def test_a_form_leads_to_sign_in_but_is_not_sent_again(self, client: Browser) -> None:
        answer = client.post("/sign-out")
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/")

    def test_htmx_is_told_to_leave_the_page(self, client: Browser) -> None:
        headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/runs?state=queued"}
        answer = client.get("/account", headers=headers)
        assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/sign-in?next=/runs")

    def test_a_machine_gets_json(self, client: Browser) -> None:
        answer = client.get("/metrics")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["code"] == "sign_in_required"


class TestTokens:
    def bearer(self, browser: Browser, database: Database, scope: str) -> dict[str, str]:
        assert browser.person
        with database.session() as session:
            token = api_tokens.create(session, browser.person, name=scope, scope=scope, days=7)
        return {"Authorization": f"Bearer {token}"}

    def test_an_admins_token_opens_the_metrics(self, as_admin: Browser, client: Browser, database: Database) -> None:
        answer = client.get("/metrics", headers=self.bearer(as_admin, database, "admin"))
        assert answer.status_code == 200
        assert "touchstone_active_runs 0.0" in answer.text

    def test_a_scope_below_the_role_counts(self, as_admin: Browser, client: Browser, database: Database) -> None:
        answer = client.get("/metrics", headers=self.bearer(as_admin, database, "write"))
        assert answer.status_code == 403
        assert "you are here as member" in answer.json()["error"]["message"]

    def test_no_token_opens_a_page(self, as_admin: Browser, client: Browser, database: Database) -> None:
        answer = client.get("/account", headers=self.bearer(as_admin, database, "admin"))
        assert answer.status_code == 403
        assert "/api/v1" in answer.text

    def test_a_wrong_token_is_not_replaced_by_the_cookie(self, as_admin: Browser) -> None:
        answer = as_admin.get("/metrics", headers={"Authorization": "Bearer ts_wrong"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "bad_token")

    def test_a_reading_token_changes_nothing(self, app: FastAPI, as_admin: Browser, database: Database) -> None:
        reached: list[str] = []

        @app.post("/api/v1/planted")
        def planted(person: Viewer) -> None:
            reached.append(person.role)

        for scope in ("read", "write"):
            headers = {**self.bearer(as_admin, database, scope), "Sec-Fetch-Site": "cross-site"}
            answer = Browser(app).post("/api/v1/planted", headers=headers)
            assert answer.status_code == (403 if scope == "read" else 200)
        assert reached == ["member"]

    def test_a_token_of_a_deactivated_person_ends(self, as_admin: Browser, client: Browser, database: Database) -> None:
        headers = self.bearer(as_admin, database, "admin")
        with database.session() as session:
            accounts.create_user(session, "second", Role.ADMIN)
            assert as_admin.person
            accounts.set_active(session, as_admin.person.id, False, by=None)
        assert client.get("/metrics", headers=headers).status_code == 401
