"""Saved views of boards: what is stored, whose they are, and that they open whatever became of the board."""

from typing import Any
from urllib.parse import parse_qsl

import pytest
from sqlalchemy import delete, func, select, update

from app.db.queries.saved_views import ViewRow, visible_views
from app.db.session import Database
from app.db.tables import AuditEntry, BenchmarkDataset, Dataset, Measurement, Role, SavedView
from app.errors import AppError, Conflict, Forbidden, Invalid, NotFound
from app.services import benchmarks, saved_views
from app.services.accounts import Person
from app.services.board_points import AXES
from app.services.boards import BoardCache
from app.services.saved_views import MOST_VIEWS, QUERY_LENGTH, ViewForm, address_of, parse_address
from tests import factories
from tests.board_world import CPU, World, counted_statements

pytestmark = pytest.mark.both_databases


class Views:
    """A board, the people who look at it, and what they save."""

    def __init__(self, database: Database) -> None:
        self.database, self.world, self.boards = database, World(database), BoardCache()
        self.slug = self.world.full()
        with database.session() as session:
            self.admin, self.member, self.viewer = (
                factories.person(session, str(role), role)
                for role in (
                    Role.ADMIN,
                    Role.MEMBER,
                    Role.VIEWER,
                )
            )

    def save(self, person: Person, name: str, address: str = "", *, slug: str = "", **options: Any) -> int:
        slug = slug or self.slug
        place = parse_address(slug, f"/boards/{slug}{address}")
        return saved_views.save(self.database, self.boards, person, slug, ViewForm(name, place, **options))

    def delete(self, person: Person, view_id: int) -> str:
        with self.database.session() as session:
            return saved_views.delete(session, person, self.slug, view_id)

    def seen(self, person: Person, slug: str = "") -> list[ViewRow]:
        with self.database.reading() as session:
            return visible_views(session, benchmarks.by_slug(session, slug or self.slug).id, person.id)

    def take_off(self, dataset: str) -> None:
        """Off the board."""
        with self.database.session() as session:
            found = select(Dataset.id).where(Dataset.slug == dataset).scalar_subquery()
            session.execute(delete(BenchmarkDataset).where(BenchmarkDataset.dataset_id == found))

    def names(self, person: Person) -> list[str]:
        return [view.name for view in self.seen(person)]

    def opened(self, person: Person, view_id: int, slug: str = "") -> tuple[str, str]:
        with self.database.reading() as session:
            found = saved_views.open_view(session, self.boards, person, slug or self.slug, view_id)
        return found.address, found.missing


@pytest.fixture
def views(database: Database) -> Views:
    return Views(database)


class TestSaving:
    @pytest.mark.parametrize(
        ("address", "tab", "stored"),
        [
            ("", "", ""),
            ("?sort=rank&q=&dense=false", "", ""),
            ("?dense=on&sort=-mean_task", "", "sort=-mean_task&dense=1"),
            (
                "/tasks?type=Retrieval&max_parameters=1.5B&type=STS",
                "/tasks",
                "type=Retrieval&type=STS&max_parameters=1500000000",
            ),
            ("/tasks?q=a%20%26b+c%00#top", "/tasks", "q=a+%26b+c%00"),
            ("/languages?sort=language%3Aeng-Latn", "/languages", "sort=language%3Aeng-Latn"),
            ("/charts?score=type:STS&q=acme", "/charts", "sort=-type%3ASTS&q=acme"),
            ("/charts/memory?score=&pin=1", "/charts", "axis=memory&pin=1"),
        ],
    )
    def test_an_address_is_stored_in_one_form_and_leads_there_again(
        self, views: Views, address: str, tab: str, stored: str
    ) -> None:
        saved = views.save(views.member, "  My\tview ", address)
        (view,) = views.seen(views.member)
        assert (view.id, view.name, view.owner, view.mine, view.shared) == (saved, "My view", "member", True, False)
        assert (view.tab, view.query) == (tab, stored)
        back, missing = views.opened(views.member, saved)
        assert (back, missing) == (address_of(views.slug, view), "")
        assert back.startswith(f"/boards/{views.slug}{tab}")
        with views.database.reading() as session:
            entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "view.save")).one()
        assert (entry.actor, entry.subject, entry.detail["view"]) == ("member", views.slug, "My view")

    def test_every_chart_can_be_saved(self, views: Views) -> None:
        slug = views.world.measured()
        measured = [f"/charts/{key}" for key in (*AXES, "query_p50", "documents_per_second", "peak_memory")]
        saved = [views.save(views.viewer, address, address, slug=slug) for address in measured]
        assert [views.opened(views.viewer, one, slug) for one in saved] == [
            (f"/boards/{slug}{address}", "") for address in measured
        ]

    @pytest.mark.parametrize(
        ("address", "code", "words"),
        [
            ("?colour=red", "unknown_filter", "no filter 'colour'"),
            ("/tasks?score=mean_task", "unknown_filter", "no filter 'score'"),
            ("?zero_shot=some", "unknown_filter", "zero_shot"),
            ("?sort=colour", "unknown_sort", "cannot be sorted by 'colour'"),
            ("?sort=language:eng-Latn", "unknown_sort", "cannot be sorted"),
            ("/languages?sort=language:xxx", "unknown_sort", "no scores in the language 'xxx'"),
            ("?device=abacus", "unknown_device", "device 'abacus'"),
            ("/charts?score=rank", "unknown_score", "the score 'rank'"),
            ("/charts/colour", "not_found", "no chart 'colour'"),
            ("/info", "no_view", "Summary, Tasks, Languages and Charts can be saved"),
            ("/tasks/memory", "no_view", "can be saved"),
            ("/charts/memory/more", "no_view", "can be saved"),
            (f"?pin={'x' * 200}" + f"&pin={'y' * 200}" * 100, "invalid", f"{QUERY_LENGTH:,} characters"),
        ],
    )
    def test_what_a_board_cannot_show_is_refused_with_its_words(
        self, views: Views, address: str, code: str, words: str
    ) -> None:
        with pytest.raises(AppError) as refused:
            views.save(views.member, "Mine", address)
        assert (refused.value.code, views.names(views.member)) == (code, [])
        assert words in refused.value.message

    @pytest.mark.parametrize(
        ("address", "tab", "stored"),
        [
            ("https://house.example/boards/help-desk/tasks?q=a", "/tasks", "q=a"),
            (" /boards/help%2Ddesk/tasks?q=a ", "/tasks", "q=a"),
            ("/?q=a", "", "q=a"),
        ],
    )
    def test_an_address_may_be_a_whole_one_or_that_of_the_default_board(
        self, address: str, tab: str, stored: str
    ) -> None:
        place = parse_address("help-desk", address)
        assert (place.tab, place.query) == (tab, stored)

    @pytest.mark.parametrize("address", ["", "javascript:alert(1)", "//[", "/models", "boards/help-desk"])
    def test_anything_else_is_no_address(self, address: str) -> None:
        with pytest.raises(Invalid) as refused:
            parse_address("help-desk", address)
        assert refused.value.code == "no_view"

    def test_an_address_of_another_board_is_refused(self) -> None:
        with pytest.raises(Invalid, match="another board than 'help-desk'"):
            parse_address("help-desk", "/boards/other?q=a")

    @pytest.mark.parametrize("name", ["", " \t", "x" * 81, "a\x00b", "a\u202eb", "\u200b"])
    def test_a_name_is_asked_for(self, views: Views, name: str) -> None:
        with pytest.raises(Invalid) as refused:
            views.save(views.member, name)
        assert "1 to 80 characters" in refused.value.fields["name"]

    @pytest.mark.parametrize("name", ["=1+1", "<b>&", "\u0646\u0645\u0627\u06cc\u0634", "👩\u200d💻", "x" * 80])
    def test_any_other_name_is_kept(self, views: Views, name: str) -> None:
        views.save(views.member, name)
        assert views.names(views.member) == [name]


class TestTheSameName:
    def test_it_is_replaced_only_when_asked_to(self, views: Views) -> None:
        saved = views.save(views.member, "Élan", "?q=a", shared=True)
        with pytest.raises(Conflict, match="You have a view 'Élan'") as refused:
            views.save(views.member, "e\u0301LAN", "/tasks")
        assert refused.value.code == "view_exists"
        assert views.save(views.member, "éLAN", "/tasks", replace=True) == saved
        (view,) = views.seen(views.member)
        assert (view.name, view.tab, view.query, view.shared) == ("éLAN", "/tasks", "", False)

    def test_other_people_and_other_boards_have_names_of_their_own(self, views: Views) -> None:
        other = views.world.board("pairs", name="Other")
        views.save(views.member, "Mine", shared=True)
        views.save(views.viewer, "Mine")
        views.save(views.member, "Mine", slug=other)
        assert views.names(views.viewer) == ["Mine", "Mine"]
        assert [view.name for view in views.seen(views.member, other)] == ["Mine"]

    def test_there_is_a_most(self, views: Views, monkeypatch: pytest.MonkeyPatch) -> None:
        assert MOST_VIEWS == 100
        monkeypatch.setattr(saved_views, "MOST_VIEWS", 2)
        for name in ("a", "b"):
            views.save(views.member, name)
        with pytest.raises(Conflict, match="You have 2 views of this board, and 2 is the most"):
            views.save(views.member, "c")
        views.save(views.member, "B", replace=True)
        views.save(views.viewer, "c")
        assert views.names(views.member) == ["a", "B"]


class TestWhoSees:
    def test_own_ones_first_then_what_others_share(self, views: Views) -> None:
        views.save(views.viewer, "b")
        views.save(views.member, "secret")
        views.save(views.admin, "c", shared=True)
        views.save(views.member, "a", shared=True)
        assert [(view.name, view.owner, view.mine) for view in views.seen(views.viewer)] == [
            ("b", "viewer", True),
            ("a", "member", False),
            ("c", "admin", False),
        ]
        with views.database.reading() as session, counted_statements(views.database) as statements:
            visible_views(session, 1, views.viewer.id)
        assert len(statements) == 1

    def test_viewers_share_nothing(self, views: Views) -> None:
        with pytest.raises(Forbidden, match="Members and admins share"):
            views.save(views.viewer, "Mine", shared=True)
        assert views.names(views.viewer) == []

    def test_its_owner_or_an_admin_deletes_it(self, views: Views) -> None:
        shared, secret = views.save(views.member, "shared", shared=True), views.save(views.member, "secret")
        with pytest.raises(Forbidden, match="Only member and admins"):
            views.delete(views.viewer, shared)
        for person in (views.viewer, views.admin):
            with pytest.raises(NotFound, match="not shared with you"):
                views.delete(person, secret)
            with pytest.raises(NotFound):
                views.opened(person, secret)
        assert views.delete(views.admin, shared) == "shared"
        assert views.delete(views.member, secret) == "secret"
        assert views.names(views.member) == []
        with views.database.reading() as session:
            entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "view.delete")).all()
        assert [(entry.actor, entry.detail["owner"]) for entry in entries] == [
            ("admin", "member"),
            ("member", "member"),
        ]

    def test_a_view_belongs_to_its_board(self, views: Views) -> None:
        other = views.world.board("pairs", name="Other")
        saved = views.save(views.member, "Mine")
        with pytest.raises(NotFound, match="Other has no such view"):
            views.opened(views.member, saved, other)


class TestWhenTheBoardChanges:
    def test_a_filter_for_a_dataset_that_is_gone_stays(self, views: Views) -> None:
        saved = views.save(views.member, "Both", "?dataset=pairs&dataset=articles")
        views.take_off("articles")
        views.take_off("pairs")
        address, missing = views.opened(views.member, saved)
        assert (address, missing) == (f"/boards/{views.slug}?dataset=pairs&dataset=articles", "")

    @pytest.mark.parametrize("tab", ["", "/tasks", "/charts/memory"])
    def test_an_order_that_is_gone_is_left_out_and_named(self, views: Views, tab: str) -> None:
        key = "type%3ARetrieval" if "charts" in tab else "task%3Aarticles"
        saved = views.save(views.member, "Sorted", f"{tab}?sort=-{key}&q=acme")
        views.take_off("articles")
        address, missing = views.opened(views.member, saved)
        assert address == f"/boards/{views.slug}{tab}?q=acme"
        assert missing.startswith("This board cannot be sorted by")

    def test_a_renamed_dataset(self, views: Views) -> None:
        saved = views.save(views.member, "Sorted", "?sort=task%3Aarticles")
        with views.database.session() as session:
            session.execute(update(Dataset).where(Dataset.slug == "articles").values(slug="papers"))
        assert views.opened(views.member, saved)[0] == f"/boards/{views.slug}"

    def test_a_device_and_its_chart_that_are_gone(self, views: Views) -> None:
        slug = views.world.measured()
        saved = views.save(views.member, "Slow", f"/charts/query_p50?device={CPU}&sort=-mean_task", slug=slug)
        with views.database.session() as session:
            session.execute(delete(Measurement).where(Measurement.device == CPU))
        address, missing = views.opened(views.member, saved, slug)
        assert address == f"/boards/{slug}/charts/query_p50"
        assert "Nothing was measured on a device" in missing
        with views.database.session() as session:
            session.execute(delete(Measurement))
        assert views.opened(views.member, saved, slug)[0] == f"/boards/{slug}/charts"

    def test_a_board_with_a_new_address(self, views: Views) -> None:
        saved = views.save(views.member, "Mine", "/tasks?q=a")
        with views.database.session() as session:
            benchmarks.edit(session, views.admin, views.slug, new_slug="renamed")
        assert views.opened(views.member, saved, "renamed") == ("/boards/renamed/tasks?q=a", "")

    def test_a_deleted_board_takes_its_views_along(self, views: Views) -> None:
        views.save(views.member, "Mine")
        with views.database.session() as session:
            benchmarks.delete(session, views.admin, views.slug)
        with views.database.reading() as session:
            assert session.scalar(select(func.count()).select_from(SavedView)) == 0


def test_the_stored_form_can_be_read_by_anybody(views: Views) -> None:
    views.save(views.member, "Mine", "?language=deu-Latn&column=memory&column=rank")
    (view,) = views.seen(views.member)
    assert parse_qsl(view.query) == [("language", "deu-Latn"), ("column", "memory"), ("column", "rank")]
