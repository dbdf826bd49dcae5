"""Retrieval in the BEIR layout: corpus.jsonl, queries.jsonl and qrels/<split>.tsv."""

from pathlib import PurePosixPath

from app.core.formats import delimited, jsonl
from app.core.formats.archive import Bundle
from app.core.formats.problems import Problem, excerpt, quoted
from app.core.formats.reading import Reading, counted
from app.core.formats.records import Fields, Ids
from app.core.formats.splits import TEST, scored_split, warn_dropped
from app.core.formats.streams import Meter
from app.core.records import Cell, Dataset, Document, Query, RetrievalData
from app.core.task_types import DEFAULT_SUBSET

CORPUS, QUERIES, QRELS_FOLDER = "corpus.jsonl", "queries.jsonl", "qrels"
_QUERY, _DOCUMENT, _RELEVANCE = "query-id", "corpus-id", "score"


def read(bundle: Bundle, reading: Reading) -> Dataset:
    """The one searchable corpus of a BEIR folder or zip, with the queries that the scored split judges.

    Raises:
        InvalidFile: whatever is wrong; unknown ids are looked for once corpus and queries are in order.
    """
    qrels_files = _qrels_files(bundle, reading)
    split = scored_split(qrels_files, reading)
    meter = Meter(reading.progress, sum(bundle.size(name) for name in (CORPUS, QUERIES, *qrels_files.values())))
    queries, query_ids = _read_queries(bundle, reading, meter)
    documents, document_ids = _read_documents(bundle, reading, meter)
    reading.problems.raise_if_any()
    qrels = _read_qrels(bundle, qrels_files[split], (query_ids, document_ids), reading, meter)
    reading.problems.raise_if_any()
    for other, name in qrels_files.items():
        if other != split:
            warn_dropped(other, _count_rows(bundle, name, meter), reading)
    judged = tuple(query for query in queries if query.id in qrels)
    if len(judged) < len(queries):
        message = f"Queries without a judgement in the split {split} are left out."
        reading.warnings.add("query_without_judgement", message, len(queries) - len(judged))
    hopeless = sum(not any(judgements.values()) for judgements in qrels.values())
    if hopeless:
        reading.warnings.add("query_without_positive", "Queries without a relevant document always score 0.", hopeless)
    return Dataset("Retrieval", (Cell(split, DEFAULT_SUBSET, RetrievalData(judged, documents, qrels)),))


def _qrels_files(bundle: Bundle, reading: Reading) -> dict[str, str]:
    """Split -> name of its judgements; notes what is missing and what is not used."""
    found: dict[str, str] = {}
    for name in bundle.names:
        path = PurePosixPath(name)
        if path.parts[:-1] == (QRELS_FOLDER,) and path.suffix == ".tsv":
            found[path.stem] = name
        elif name not in (CORPUS, QUERIES):
            reading.warnings.add("ignored_file", f"The file {quoted(name)} is not used.")
    missing = [name for name in (CORPUS, QUERIES) if name not in bundle.names]
    if not found:
        missing.append(f"{QRELS_FOLDER}/{TEST}.tsv")
    for name in missing:
        message = f"There is no {name}. Retrieval needs {CORPUS}, {QUERIES} and {QRELS_FOLDER}/{TEST}.tsv."
        reading.problems.add(Problem("missing_file", message, reading.filename))
    reading.problems.raise_if_any()
    return found


def _read_queries(bundle: Bundle, reading: Reading, meter: Meter) -> tuple[list[Query], Ids]:
    fields = Fields(QUERIES, reading, required=("_id", "text"))
    ids = Ids(QUERIES, "_id", reading)
    queries = []
    with bundle.open(QUERIES, meter.advance) as stream:
        for row, values in counted(jsonl.read_rows(stream, QUERIES, reading), QUERIES, reading):
            if fields.complete(row, values):
                name, text = fields.name(row, values, "_id"), fields.text(row, values, "text")
                if name is not None and ids.add(row, name) and text is not None:
                    queries.append(Query(name, text))
    return queries, ids


def _read_documents(bundle: Bundle, reading: Reading, meter: Meter) -> tuple[tuple[Document, ...], Ids]:
    fields = Fields(CORPUS, reading, required=("_id", "text"), optional=("title",))
    ids = Ids(CORPUS, "_id", reading)
    documents = []
    with bundle.open(CORPUS, meter.advance) as stream:
        for row, values in counted(jsonl.read_rows(stream, CORPUS, reading), CORPUS, reading):
            if fields.complete(row, values):
                name = fields.name(row, values, "_id")
                title = fields.text(row, values, "title", blank=True)
                titled = title is not None and bool(title.strip())
                text = fields.text(row, values, "text", blank=titled)  # a title alone is enough
                if name is not None and ids.add(row, name) and text is not None and title is not None:
                    documents.append(Document(name, text, title))
    return tuple(documents), ids


def _read_qrels(
    bundle: Bundle, file: str, ids: tuple[Ids, Ids], reading: Reading, meter: Meter
) -> dict[str, dict[str, int]]:
    """Query id -> document id -> relevance; exact repetitions are counted, contradictions are problems."""
    columns = (_QUERY, _DOCUMENT, _RELEVANCE)
    fields = Fields(file, reading, required=columns)
    qrels: dict[str, dict[str, int]] = {}
    with bundle.open(file, meter.advance) as stream:
        rows = delimited.read_rows(stream, file, delimited.TAB, columns, reading)
        for row, values in counted(rows, file, reading):
            if not fields.complete(row, values):
                continue
            query, document = fields.name(row, values, _QUERY), fields.name(row, values, _DOCUMENT)
            relevance = fields.relevance(row, values, _RELEVANCE)
            if query is None or document is None or relevance is None:
                continue
            known = _known(query, _QUERY, ids[0], (file, row), reading)
            if not _known(document, _DOCUMENT, ids[1], (file, row), reading) or not known:
                continue
            first = qrels.setdefault(query, {}).setdefault(document, relevance)
            if first != relevance:
                pair = f"query {quoted(query)} and document {quoted(document)}"
                message = f"Row {row} gives {pair} the relevance {relevance}; an earlier row gave {first}."
                reading.problems.add(Problem("contradiction", message, file, row, _RELEVANCE, str(relevance)))
    return qrels


def _known(name: str, column: str, ids: Ids, place: tuple[str, int], reading: Reading) -> bool:
    """Whether an id exists; a problem is noted if not."""
    if name in ids:
        return True
    file, row = place
    code, where = ("unknown_query", QUERIES) if column == _QUERY else ("unknown_document", CORPUS)
    message = f"Row {row} names {quoted(name)}, which is not in {where}. Ids must match exactly."
    reading.problems.add(Problem(code, message, file, row, column, excerpt(name)))
    return False


def _count_rows(bundle: Bundle, name: str, meter: Meter) -> int:
    """The lines below the header that are not empty."""
    with bundle.open(name, meter.advance) as stream:
        return max(0, sum(not line.isspace() for line in stream) - 1)
