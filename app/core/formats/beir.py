"""The retrieval family in the BEIR layout: corpus.jsonl, queries.jsonl and qrels/<split>.tsv; a folder a subset."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Final

from app.core.formats.archive import Bundle
from app.core.formats.beir_files import ID, INSTRUCTION, JSON_LINES, QUERY, Place, Reader
from app.core.formats.problems import Problem, excerpt, quoted
from app.core.formats.reading import Reading
from app.core.formats.records import Ids
from app.core.formats.splits import TEST, check_folder, scored_splits, warn_dropped, warn_missing
from app.core.formats.streams import Meter
from app.core.records import Cell, Dataset, Document, DocumentIds, Qrels, Query, RetrievalData
from app.core.task_types import DEFAULT_SUBSET

CORPUS, QUERIES, INSTRUCTIONS, CHANGES = "corpus.jsonl", "queries.jsonl", "instructions.jsonl", "qrel_diff.jsonl"
QRELS, CANDIDATES = "qrels", "top_ranked"
ORIGINAL, CHANGED = "-og", "-changed"
_SUFFIXES = {QRELS: (".tsv",), CANDIDATES: (JSON_LINES, ".tsv")}


@dataclass(frozen=True, slots=True)
class Rules:
    """What a task type reads beside corpus, queries and judgements."""

    candidates: bool = False
    instructions: bool = False
    changes: bool = False

    @property
    def needed(self) -> tuple[str, ...]:
        """The files without which there is no score."""
        further = ((f"{CANDIDATES}/{TEST}{JSON_LINES}", self.candidates), (CHANGES, self.changes))
        return CORPUS, QUERIES, f"{QRELS}/{TEST}.tsv", *(name for name, wanted in further if wanted)


RULES: Final = {
    "Retrieval": Rules(),
    "Reranking": Rules(candidates=True),
    "InstructionRetrieval": Rules(instructions=True),
    "InstructionReranking": Rules(candidates=True, instructions=True, changes=True),
}


@dataclass(slots=True)
class _Files:
    """The names of one subset's files: single ones by their own name, others by folder and split."""

    prefix: str
    single: dict[str, str] = field(default_factory=dict)
    by_split: dict[str, dict[str, str]] = field(default_factory=lambda: {QRELS: {}, CANDIDATES: {}})


@dataclass(frozen=True, slots=True)
class _Corpus:
    """What all splits of a subset share."""

    queries: list[Query]
    query_ids: Ids
    documents: tuple[Document, ...]
    document_ids: Ids
    changed: DocumentIds | None


def looks_like(bundle: Bundle) -> bool:
    """Whether there is a corpus or a file with queries, so that no table is expected."""
    return any(PurePosixPath(name).name in (CORPUS, QUERIES) for name in bundle.names)


def needed_files(task_type: str) -> str:
    """The files that a task type needs, in words."""
    *names, last = RULES[task_type].needed
    return f"{', '.join(names)} and {last}"


def read(bundle: Bundle, task_type: str, reading: Reading) -> Dataset:
    """A cell for each scored split of each subset, with the queries that the split judges.

    Raises:
        InvalidFile: whatever is wrong; unknown ids are looked for once corpus and queries are in order.
    """
    rules = RULES[task_type]
    folders = _folders(bundle, reading)
    for files in folders.values():
        _check_there(files, task_type, reading)
    reading.problems.raise_if_any()
    splits = scored_splits({split for files in folders.values() for split in files.by_split[QRELS]}, reading)
    for files in folders.values():
        _check_splits(files, splits, rules, reading)
    reading.problems.raise_if_any()
    used = {name for files in folders.values() for name in _used(files, splits, rules)}
    _warn_unused(set(bundle.names) - used, task_type, reading)
    reader = Reader(bundle, reading, Meter(reading.progress, sum(map(bundle.size, used))))
    cells: list[Cell] = []
    for subset, files in sorted(folders.items()):
        for split, name in files.by_split[QRELS].items():
            if split not in splits:
                warn_dropped(split, reader.count_rows(name), reading)
        corpus = _read_corpus(files, rules, reader)
        for split in splits:
            if split in files.by_split[QRELS]:
                cells.append(Cell(split, subset, _read_split(split, files, corpus, rules, reader)))
            else:
                warn_missing(split, subset, reading)
    return Dataset(task_type, tuple(cells))


def _folders(bundle: Bundle, reading: Reading) -> dict[str, _Files]:
    """The files by subset."""
    found: dict[str, _Files] = {}
    for name in bundle.names:
        *folders, last = name.split("/")
        kind = folders[-1] if folders and PurePosixPath(last).suffix in _SUFFIXES.get(folders[-1], ()) else None
        if kind is not None:
            folders.pop()
        elif last not in (CORPUS, QUERIES, INSTRUCTIONS, CHANGES):
            continue
        if len(folders) > 1 or {QRELS, CANDIDATES} & set(folders):
            continue
        for folder in folders:
            check_folder(folder, reading)
        files = found.setdefault(folders[0] if folders else DEFAULT_SUBSET, _Files("/".join([*folders, ""])))
        names = files.single if kind is None else files.by_split[kind]
        first = names.setdefault(last if kind is None else PurePosixPath(last).stem, name)
        if first != name:
            message = f"{quoted(first)} and {quoted(name)} stand for the same. Leave one out."
            reading.problems.fail(Problem("doubled_split", message, reading.filename))
    return found or {DEFAULT_SUBSET: _Files("")}


def _check_there(files: _Files, task_type: str, reading: Reading) -> None:
    """Note `missing_file`."""
    names = [CORPUS, QUERIES, *([CHANGES] if RULES[task_type].changes else [])]
    missing = [name for name in names if name not in files.single]
    if not files.by_split[QRELS]:
        missing.append(f"{QRELS}/{TEST}.tsv")
    for name in missing:
        message = f"There is no {quoted(files.prefix + name)}. {task_type} needs {needed_files(task_type)}."
        reading.problems.add(Problem("missing_file", message, reading.filename))


def _check_splits(files: _Files, splits: Sequence[str], rules: Rules, reading: Reading) -> None:
    """Note a subset without any scored split, and scored splits without candidates."""
    there = [split for split in splits if split in files.by_split[QRELS]]
    if not there:
        wanted = " or ".join(f"{files.prefix}{QRELS}/{split}.tsv" for split in splits)
        message = f"There is no {quoted(wanted)}, so nothing of this subset can be scored."
        reading.problems.add(Problem("no_test_rows", message, reading.filename, column="split"))
    for split in there:
        if rules.candidates and split not in files.by_split[CANDIDATES]:
            name = f"{files.prefix}{CANDIDATES}/{split}{JSON_LINES}"
            message = f"There is no {quoted(name)} (or .tsv) with the candidates that are ranked for each query."
            reading.problems.add(Problem("missing_file", message, reading.filename))


def _used(files: _Files, splits: Sequence[str], rules: Rules) -> list[str]:
    """The names of the files that are read, if only to count their rows."""
    names = [files.single[CORPUS], files.single[QUERIES], *files.by_split[QRELS].values()]
    if rules.instructions and INSTRUCTIONS in files.single:
        names.append(files.single[INSTRUCTIONS])
    if rules.changes:
        names.append(files.single[CHANGES])
    if rules.candidates:
        names += [files.by_split[CANDIDATES][split] for split in splits if split in files.by_split[QRELS]]
    return names


def _warn_unused(names: Iterable[str], task_type: str, reading: Reading) -> None:
    for name in sorted(names):
        message = f"The file {quoted(name)} is not used."
        if CANDIDATES in name.split("/") and not RULES[task_type].candidates:
            message += f" {task_type} ranks the whole corpus; Reranking ranks candidates."
        reading.warnings.add("ignored_file", message)


def _read_corpus(files: _Files, rules: Rules, reader: Reader) -> _Corpus:
    """Queries and documents of a subset, with instructions and changes if there are any."""
    queries, query_ids = reader.queries(files.single[QUERIES], instructed=rules.instructions)
    documents, document_ids = reader.documents(files.single[CORPUS])
    reader.reading.problems.raise_if_any()
    if rules.instructions and INSTRUCTIONS in files.single:
        queries = _instructed(queries, query_ids, files.single[INSTRUCTIONS], reader)
    changed = None
    if rules.changes:

        def known(base: str, place: Place) -> bool:
            original, changed = (reader.known(base + end, QUERY, query_ids, place) for end in (ORIGINAL, CHANGED))
            return original and changed

        changed = reader.lists(files.single[CHANGES], known, document_ids, empty=True)
    reader.reading.problems.raise_if_any()
    return _Corpus(queries, query_ids, documents, document_ids, changed)


def _instructed(queries: list[Query], ids: Ids, file: str, reader: Reader) -> list[Query]:
    """The queries with the instructions of a file of their own."""
    instructions = reader.instructions(file, ids)
    for query in queries:
        if query.instruction and instructions.get(query.id, query.instruction) != query.instruction:
            row = ids.row(query.id)
            message = f"Row {row} has another instruction for {quoted(query.id)} than {file}. Leave one out."
            reader.reading.problems.add(Problem("contradiction", message, ids.file, row, INSTRUCTION, query.id))
    return [replace(query, instruction=instructions.get(query.id, query.instruction)) for query in queries]


def _read_split(split: str, files: _Files, corpus: _Corpus, rules: Rules, reader: Reader) -> RetrievalData:
    """The data of one cell."""
    reading = reader.reading
    qrels = reader.qrels(files.by_split[QRELS][split], corpus.query_ids, corpus.document_ids)
    candidates: DocumentIds | None = None
    if rules.candidates:

        def known(query: str, place: Place) -> bool:
            return reader.known(query, QUERY, corpus.query_ids, place)

        candidates = reader.lists(files.by_split[CANDIDATES][split], known, corpus.document_ids)
    reading.problems.raise_if_any()
    judged = tuple(query for query in corpus.queries if query.id in qrels)
    if len(judged) < len(corpus.queries):
        message = f"Queries without a judgement in the split {split} are left out."
        reading.warnings.add("query_without_judgement", message, len(corpus.queries) - len(judged))
    hopeless = sum(not any(judgements.values()) for judgements in qrels.values())
    if hopeless:
        reading.warnings.add("query_without_positive", "Queries without a relevant document always score 0.", hopeless)
    if rules.instructions:
        _check_instructions(judged, corpus.query_ids.file, reading)
    if candidates is not None:
        candidates = _judged_candidates(judged, candidates, files.by_split[CANDIDATES][split], corpus, reading)
        _warn_outside("Judged documents", qrels, candidates, reading)
    changed = None
    if corpus.changed is not None and candidates is not None:
        changed = _judged_changes(judged, corpus.changed, files.single[CHANGES], corpus, reading)
        _warn_outside("Changed documents", {base + ORIGINAL: changed[base] for base in changed}, candidates, reading)
    reading.problems.raise_if_any()
    ignore = reading.choices.ignore_identical_ids
    return RetrievalData(judged, corpus.documents, qrels, candidates, changed, ignore)


def _check_instructions(judged: Sequence[Query], file: str, reading: Reading) -> None:
    """Note `no_instruction` where no query has one; warn where some lack one."""
    lacking = sum(not query.instruction for query in judged)
    if lacking == len(judged):
        message = f"No query has an instruction. Write them in {file}, or in {INSTRUCTIONS} beside it."
        reading.problems.add(Problem("no_instruction", message, file, column=INSTRUCTION))
    elif lacking:
        reading.warnings.add("query_without_instruction", "Queries without an instruction stand as they are.", lacking)


def _judged_candidates(
    judged: Sequence[Query], candidates: DocumentIds, file: str, corpus: _Corpus, reading: Reading
) -> DocumentIds:
    """The candidates of the judged queries; notes `query_without_candidates`."""
    for query in judged:
        if query.id not in candidates:
            message = f"{file} has no candidates for the query {quoted(query.id)}."
            row = corpus.query_ids.row(query.id)
            problem = Problem("query_without_candidates", message, corpus.query_ids.file, row, ID, excerpt(query.id))
            reading.problems.add(problem)
    return {query.id: candidates[query.id] for query in judged if query.id in candidates}


def _judged_changes(
    judged: Sequence[Query], changed: DocumentIds, file: str, corpus: _Corpus, reading: Reading
) -> DocumentIds:
    """The changes of those pairs whose queries are both judged; notes `unpaired_query` and `no_changes`."""
    ids = {query.id for query in judged}
    for query in judged:
        if not query.id.endswith((ORIGINAL, CHANGED)):
            row = corpus.query_ids.row(query.id)
            message = f"Row {row}: the id {quoted(query.id)} ends neither in {ORIGINAL} nor in {CHANGED}."
            problem = Problem("unpaired_query", message, corpus.query_ids.file, row, ID, excerpt(query.id))
            reading.problems.add(problem)
    kept = {
        base: documents
        for base, documents in changed.items()
        if documents and base + ORIGINAL in ids and base + CHANGED in ids
    }
    if not kept:
        message = f"No pair of judged queries {ORIGINAL} and {CHANGED} has a document that its change makes irrelevant."
        reading.problems.add(Problem("no_changes", message, file))
    elif len(kept) < len(changed):
        message = "Pairs of queries without changed documents, or not both of them judged, do not count for p-MRR."
        reading.warnings.add("pair_without_change", message, len(changed) - len(kept))
    return kept


def _warn_outside(what: str, documents: Qrels | DocumentIds, candidates: DocumentIds, reading: Reading) -> None:
    """Warn of documents that no ranking can have."""
    outside = sum(len(set(listed).difference(candidates.get(query, ()))) for query, listed in documents.items())
    if outside:
        message = f"{what} that are not among their query's candidates are never ranked."
        reading.warnings.add("outside_candidates", message, outside)
