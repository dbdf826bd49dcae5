"""What runs kept is read back, and laid beside each other example by example."""

import io

import numpy as np
import pytest
from sqlalchemy.orm import Session

from app.core.resampling import stratified_means
from app.db.session import Database
from app.errors import NotFound
from app.services.evidence import CellEvidence, EvidenceReader, paired, strata_of
from app.settings import Settings
from app.storage.blobs import BlobStore
from tests.board_world import counted_statements
from tests.verdict_world import VerdictWorld


@pytest.fixture
def world(database: Database, settings: Settings) -> VerdictWorld:
    return VerdictWorld(database, settings)


@pytest.fixture
def reader(world: VerdictWorld) -> EvidenceReader:
    return EvidenceReader(world.blobs)


def cells(world: VerdictWorld, reader: EvidenceReader, *run_ids: int) -> list[tuple[CellEvidence, ...]]:
    with world.database.reading() as session:
        found = reader.cells(session, run_ids)
    return [found.get(run_id, ()) for run_id in run_ids]


@pytest.mark.both_databases
def test_a_cell_has_its_score_and_its_arrays(world: VerdictWorld, reader: EvidenceReader) -> None:
    world.dataset("tickets", "Classification")
    model = world.model("acme/new")
    run_id = world.texts(model, "tickets", {("test", "deu"): [0.5, 1.0], ("test", "eng"): [0.0, 0.2, 0.4]})
    ((deu, eng),) = cells(world, reader, run_id)
    assert (deu.split, deu.subset, deu.task_type, deu.score) == ("test", "deu", "Classification", 0.75)
    assert eng.arrays()["correct"].tolist() == [0.0, 0.2, 0.4]
    assert eng.arrays("predicted", "correct").keys() == {"correct"}
    values = eng.values()
    assert values is not None and values.value.tolist() == [0.0, 0.2, 0.4]
    assert eng.values() is values  # kept


@pytest.mark.both_databases
def test_many_runs_are_read_in_two_queries(world: VerdictWorld, reader: EvidenceReader) -> None:
    world.dataset("articles", "Retrieval")
    runs = [world.queries(world.model(f"acme/{number}"), "articles", [number / 10, 1.0]) for number in range(5)]
    with counted_statements(world.database) as statements:
        found = cells(world, reader, *runs)
    assert len(statements) == 2
    assert [own[0].score for own in found] == pytest.approx([0.5, 0.55, 0.6, 0.65, 0.7])


def test_a_run_that_kept_nothing_has_no_cells(world: VerdictWorld, reader: EvidenceReader) -> None:
    world.dataset("articles", "Retrieval")
    assert cells(world, reader, world.run(world.model("acme/new"), "articles", 0.5)) == [()]


def test_a_missing_or_damaged_file_is_named(world: VerdictWorld, reader: EvidenceReader) -> None:
    world.dataset("articles", "Retrieval")
    run_id = world.queries(world.model("acme/new"), "articles", [0.5, 1.0])
    (((cell),),) = cells(world, reader, run_id)
    cell.path.write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(NotFound, match="Restore it from a backup, or queue the run again") as caught:
        cell.values()
    assert caught.value.code == "evidence_missing" and caught.value.details == {"file": cell.path.name}
    world.lose(run_id)
    with pytest.raises(NotFound, match="missing from this server"):
        cell.arrays()


def test_what_was_read_last_stays_in_bounds(world: VerdictWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.services.evidence._KEPT_VALUES", 6)  # two runs: two values each, and one for the file
    reader = EvidenceReader(world.blobs)
    world.dataset("articles", "Retrieval")
    runs = [world.queries(world.model(f"acme/{number}"), "articles", [number / 10, 1.0]) for number in range(4)]
    found = [own[0] for own in cells(world, reader, *runs)]
    first = [cell.values() for cell in found]
    assert found[3].values() is first[3] and found[2].values() is first[2]
    assert found[0].values() is not first[0]


def test_only_what_both_runs_have_is_paired(world: VerdictWorld, reader: EvidenceReader) -> None:
    world.dataset("tickets", "Classification")
    new = world.texts(world.model("acme/new"), "tickets", {("test", "deu"): [0.5, 1.0], ("test", "eng"): [1.0, 1.0]})
    old = world.texts(world.model("acme/old"), "tickets", {("test", "deu"): [0.0, 0.5], ("test", "fra"): [1.0]})
    (pair,) = paired(*cells(world, reader, new, old))
    assert (pair.subset, pair.place.tolist(), pair.a.tolist(), pair.b.tolist()) == (
        "deu",
        [0, 1],
        [0.5, 1.0],
        [0.0, 0.5],
    )


def test_examples_are_matched_by_place_and_clusters_may_be_known_to_one(
    world: VerdictWorld, reader: EvidenceReader
) -> None:
    """An older run does not say which document a query was made from."""
    world.dataset("articles", "Retrieval")
    new = world.queries(world.model("acme/new"), "articles", [0.1, 0.2, 0.3, 0.4], sources=[5, 5, -1, 8])
    old = world.queries(world.model("acme/old"), "articles", [0.4, 0.3, 0.2])
    for runs, sign in (((new, old), 1), ((old, new), -1)):
        (pair,) = paired(*cells(world, reader, *runs))
        assert pair.place.tolist() == [0, 1, 2]
        assert (pair.a - pair.b).tolist() == pytest.approx([sign * -0.3, sign * -0.1, sign * 0.1])
        assert pair.clusters is not None and len(set(pair.clusters.tolist())) == 2


def test_every_cell_counts_as_much_as_another(world: VerdictWorld, reader: EvidenceReader) -> None:
    world.dataset("tickets", "Classification")
    new = world.texts(world.model("a/new"), "tickets", {("test", "deu"): [0.5] * 10, ("test", "eng"): [1.0, 1.0]})
    old = world.texts(world.model("a/old"), "tickets", {("test", "deu"): [0.4] * 10, ("test", "eng"): [0.5, 0.5]})
    pairs = paired(*cells(world, reader, new, old))
    strata = strata_of(pairs)
    assert [stratum.weight for stratum in strata] == [0.5, 0.5]
    assert stratified_means(strata).tolist() == pytest.approx([0.3])
    assert sum(stratum.weight for stratum in strata_of(pairs, 0.25)) == 0.25


def test_evidence_is_never_unpickled(world: VerdictWorld, session: Session) -> None:
    file = io.BytesIO()
    np.savez(file, value=np.array([object()], dtype=object))
    file.seek(0)
    blobs = BlobStore(world.blobs.root)
    path = blobs.path(blobs.put(file).sha256)
    known = EvidenceReader(blobs)
    cell = CellEvidence("test", "default", "queries", "Retrieval", 0.5, path, known._kept)
    with pytest.raises(NotFound, match="damaged"):
        cell.arrays()
