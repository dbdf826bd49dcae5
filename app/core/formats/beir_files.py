"""The single files of the BEIR layout: documents, queries, instructions, judgements and lists of documents."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from app.core.formats import delimited, jsonl
from app.core.formats.archive import Bundle
from app.core.formats.problems import Problem, excerpt, quoted
from app.core.formats.reading import Reading, counted
from app.core.formats.records import Fields, Ids
from app.core.formats.streams import Meter
from app.core.records import Document, Query

ID, QUERY, DOCUMENT, DOCUMENTS, INSTRUCTION = "_id", "query-id", "corpus-id", "corpus-ids", "instruction"
RELEVANCE: Final = "score"
JSON_LINES: Final = ".jsonl"

Place = tuple[str, int]
"""(file, row)"""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads files of a bundle, and notes what is wrong with them."""

    bundle: Bundle
    reading: Reading
    meter: Meter

    def documents(self, file: str) -> tuple[tuple[Document, ...], Ids]:
        """The corpus, and its ids."""
        ids = Ids(file, ID, self.reading)
        documents = []
        for fields, row, values in self._rows(file, (ID, "text"), ("title",)):
            name = fields.name(row, values, ID)
            title = fields.text(row, values, "title", blank=True)
            titled = title is not None and bool(title.strip())
            text = fields.text(row, values, "text", blank=titled)  # a title alone is enough
            if name is not None and ids.add(row, name) and text is not None and title is not None:
                documents.append(Document(name, text, title))
        return tuple(documents), ids

    def queries(self, file: str, *, instructed: bool) -> tuple[list[Query], Ids]:
        """The queries, with the instructions that stand there if the task type has any, and their ids."""
        ids = Ids(file, ID, self.reading)
        queries = []
        for fields, row, values in self._rows(file, (ID, "text"), (INSTRUCTION,) if instructed else ()):
            name, text = fields.name(row, values, ID), fields.text(row, values, "text")
            instruction = fields.text(row, values, INSTRUCTION, blank=True) if instructed else ""
            if name is not None and ids.add(row, name) and text is not None and instruction is not None:
                queries.append(Query(name, text, instruction if instruction.strip() else ""))
        return queries, ids

    def instructions(self, file: str, queries: Ids) -> dict[str, str]:
        """Query id -> instruction."""
        ids = Ids(file, QUERY, self.reading)
        found: dict[str, str] = {}
        for fields, row, values in self._rows(file, (QUERY, INSTRUCTION)):
            query, text = fields.name(row, values, QUERY), fields.text(row, values, INSTRUCTION)
            if query is None or not ids.add(row, query) or not self.known(query, QUERY, queries, (file, row)):
                continue
            if text is not None:
                found[query] = text
        return found

    def qrels(self, file: str, queries: Ids, documents: Ids) -> dict[str, dict[str, int]]:
        """Query id -> document id -> relevance; exact repetitions are counted, contradictions are problems."""
        qrels: dict[str, dict[str, int]] = {}
        for fields, row, values in self._rows(file, (QUERY, DOCUMENT, RELEVANCE)):
            query, document = fields.name(row, values, QUERY), fields.name(row, values, DOCUMENT)
            relevance = fields.relevance(row, values, RELEVANCE)
            if query is None or document is None or relevance is None:
                continue
            known = self.known(query, QUERY, queries, (file, row))
            if not self.known(document, DOCUMENT, documents, (file, row)) or not known:
                continue
            first = qrels.setdefault(query, {}).setdefault(document, relevance)
            if first != relevance:
                pair = f"query {quoted(query)} and document {quoted(document)}"
                message = f"Row {row} gives {pair} the relevance {relevance}; an earlier row gave {first}."
                self.reading.problems.add(Problem("contradiction", message, file, row, RELEVANCE, str(relevance)))
        return qrels

    def lists(
        self, file: str, known: Callable[[str, Place], bool], documents: Ids, *, empty: bool = False
    ) -> dict[str, tuple[str, ...]]:
        """Id -> document ids, from JSON lines with a list each or from a table with a row a document.

        Args:
            file: its name.
            known: whether an id may have a list; a problem is noted if not.
            documents: the ids of the corpus.
            empty: whether a list without entries is allowed.
        """
        column = DOCUMENTS if file.endswith(JSON_LINES) else DOCUMENT
        found: dict[str, dict[str, None]] = {}
        for row, name, entries in self._lists(file, column, empty=empty):
            if column == DOCUMENTS and name in found:
                message = f"Row {row} has a second list for {quoted(name)}. Write one line for each."
                self.reading.problems.add(Problem("duplicate_id", message, file, row, QUERY, excerpt(name)))
                continue
            listed = found.setdefault(name, {})
            if not known(name, (file, row)):
                continue
            for entry in entries:
                if entry in listed:
                    message = f"Row {row} lists {quoted(entry)} again for {quoted(name)}. Each document counts once."
                    self.reading.problems.add(
                        Problem("duplicate_candidate", message, file, row, column, excerpt(entry))
                    )
                elif self.known(entry, column, documents, (file, row)):
                    listed[entry] = None
        return {name: tuple(listed) for name, listed in found.items()}

    def count_rows(self, file: str) -> int:
        """The lines below the header that are not empty."""
        with self.bundle.open(file, self.meter.advance) as stream:
            return max(0, sum(not line.isspace() for line in stream) - 1)

    def known(self, name: str, column: str, ids: Ids, place: Place) -> bool:
        """Whether an id exists; a problem is noted if not."""
        if name in ids:
            return True
        file, row = place
        code = "unknown_query" if column == QUERY else "unknown_document"
        message = f"Row {row} names {quoted(name)}, which is not in {ids.file}. Ids must match exactly."
        self.reading.problems.add(Problem(code, message, file, row, column, excerpt(name)))
        return False

    def _lists(self, file: str, column: str, *, empty: bool) -> Iterator[tuple[int, str, tuple[str, ...]]]:
        """Row, id, and document ids: a list or one of them."""
        for fields, row, values in self._rows(file, (QUERY, column)):
            name = fields.name(row, values, QUERY)
            if column == DOCUMENTS:
                entries = fields.names(row, values, column, empty=empty)
            else:
                entry = fields.name(row, values, column)
                entries = None if entry is None else (entry,)
            if name is not None and entries is not None:
                yield row, name, entries

    def _rows(
        self, file: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
    ) -> Iterator[tuple[Fields, int, dict[str, object]]]:
        """The complete rows of a file of JSON lines or of a table with tabs."""
        fields = Fields(file, self.reading, required=required, optional=optional)
        with self.bundle.open(file, self.meter.advance) as stream:
            if file.endswith(JSON_LINES):
                rows = jsonl.read_rows(stream, file, self.reading)
            else:
                rows = delimited.read_rows(stream, file, delimited.TAB, lambda _: required, self.reading)
            for row, values in counted(rows, file, self.reading):
                if fields.complete(row, values):
                    yield fields, row, values
